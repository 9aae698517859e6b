"""Our temporary files: hidden, in the folder of the file they will replace, recognisable after a crash."""

from __future__ import annotations

import os
import re
import secrets
import stat
from pathlib import Path

_AHEAD_S = 3600.0  # beyond any file server's clock: our own was set back since the file was written
_PATTERN = re.compile(r"\.maclip-[0-9a-f]{16}\.tmp")


def new_path(folder: Path) -> Path:
    """A name in `folder` that no other process has taken; the file itself is not made."""
    return folder / f".maclip-{secrets.token_hex(8)}.tmp"


def is_temporary(name: str) -> bool:
    """Whether a file name is exactly one of ours."""
    return _PATTERN.fullmatch(name) is not None


def remove_strays(folder: Path, *, older_than: float) -> list[Path]:
    """Remove what a killed writer left directly in `folder`; returns the removed paths.

    Only regular files of our exact name pattern, last changed before `older_than` (seconds since the epoch;
    the time when the daemon started, so that no write in hand is disturbed), or so long after it that the
    clock must have been set back. A folder that cannot be read or written keeps its strays for the next time.
    """
    removed = []
    try:
        names = [name for name in os.listdir(folder) if is_temporary(name)]  # noqa: PTH208 - undecodable names
    except OSError:
        return []
    for name in names:
        path = folder / name
        try:
            found = path.lstat()
            if stat.S_ISREG(found.st_mode) and not 0 <= found.st_mtime - older_than < _AHEAD_S:
                path.unlink()
                removed.append(path)
        except OSError:
            continue
    return removed
