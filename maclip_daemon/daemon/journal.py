"""Lines for systemd's journal, which has its own time stamps and priorities."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TextIO

# sd-daemon(3): a line that begins with `<N>` has the priority N of syslog(3).
PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


def is_connected(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether a stream leads to the journal: systemd names its device and inode (systemd.exec(5))."""
    device, _, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):  # no real file, or closed
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))


def with_priority(text: str, level: str) -> str:
    """Return `text` with the priority of a level before each line."""
    prefix = f"<{PRIORITIES[level]}>"
    return "\n".join(prefix + line for line in text.splitlines())
