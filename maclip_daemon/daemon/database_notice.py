"""The daemon's notice: one sentence for `maclip status` while the database cannot be written.

On a full disk or in a locked database, the daemon cannot store why it waits. So it reserves one block of a
file while there is space, and overwrites it in place later.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

SIZE = 4096  # bytes: one block of most file systems, reserved whole


def put(data_dir: Path, sentence: str) -> None:
    """Replace the notice; an empty one removes it. Where that fails, only the log has the reason."""
    text = sentence.encode("utf-8", "backslashreplace")[:SIZE]
    with contextlib.suppress(OSError):
        descriptor = os.open(_path(data_dir), os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "wb", buffering=0) as file:  # not truncated: its block stays reserved
            file.write(text.ljust(SIZE))


def read(data_dir: Path) -> str:
    """Return the notice, or an empty text. It counts only while a daemon runs."""
    try:
        return _path(data_dir).read_bytes()[:SIZE].decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _path(data_dir: Path) -> Path:
    return data_dir / "daemon.notice"
