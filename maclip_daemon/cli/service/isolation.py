"""Whether the user's service can be isolated in a user namespace, and the unit without it."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

_NEEDS_NAMESPACE = re.compile(
    "# Begin of what needs a user namespace.*# End of what needs a user namespace.\n\n", re.DOTALL
)
_PROBE_TIMEOUT_S = 20.0


def without_namespace(unit: str) -> str:
    """Return the unit without what needs a user namespace."""
    return _NEEDS_NAMESPACE.sub("", unit)


def with_network(unit: str) -> str:
    """Return a unit whose service may use the network: notifications, and `maclip run --listen`."""
    unit = re.sub("(?m)^(PrivateNetwork|IPAddressDeny)=.*\n", "", unit)
    return unit.replace(
        "RestrictAddressFamilies=AF_UNIX\n", "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n"
    )


def obstacle(unit: str, folders: Sequence[Path], config: Path) -> str:
    """Return why the service must do without a user namespace; empty when it need not.

    In the namespace only the user and the user's own group have names: a sidecar could not get a shared
    folder's group, and a configuration of root's would look like that of a stranger.
    """
    for folder in folders:
        found = folder.stat()
        if found.st_mode & stat.S_IWGRP and found.st_gid != os.getgid():
            return f"{folder} is shared by another group"
    if config.exists() and config.stat().st_uid != os.getuid():
        return f"{config} belongs to another user"
    if not _works(unit):
        return "the service manager cannot make a user namespace here"
    return ""


def _works(unit: str) -> bool:
    """Return whether the manager can start a program with what needs a user namespace."""
    needed = _NEEDS_NAMESPACE.search(unit)
    lines = needed[0].splitlines() if needed else []
    properties = [f"--property={line}" for line in lines if line[:1].isalpha()]
    command = ["systemd-run", "--user", "--wait", "--quiet", "--collect", *properties, "true"]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=_PROBE_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ended.returncode == 0
