"""Our temporary files: hidden, in the folder of the file they will replace, recognisable after a crash."""

from __future__ import annotations

import os
import re
import secrets
import stat
from pathlib import Path

from blake3 import blake3

AHEAD_S = 3600.0  # beyond any file server's clock: our own was set back since the file was written
_PATTERN = re.compile(r"\.maclip-[0-9a-f]{16}\.tmp")
_ASIDE = re.compile(r"\.maclip-[0-9a-f]{8}\.(?P<target>.+)\.swap", re.DOTALL)
_LONGEST_NAME = 140  # bytes; of eCryptfs, which allows the fewest


def new_path(folder: Path) -> Path:
    """Return a name in `folder` that no other process uses; the file is not created."""
    return folder / f".maclip-{secrets.token_hex(8)}.tmp"


def is_temporary(name: str) -> bool:
    """Return whether a file name is one of ours."""
    return _PATTERN.fullmatch(name) is not None


def new_aside(target: str) -> str:
    """Return an unused name beside the file `target`, under which it is exchanged with its new content.

    It tells whose it is, so that after a kill the next start can put a person's edit back (`exchange`).
    """
    number = secrets.token_hex(4)
    name = f".maclip-{number}.{target}.swap"
    return name if len(os.fsencode(name)) <= _LONGEST_NAME else f".maclip-{number}.{_short(target)}.swap"


def is_aside(name: str) -> bool:
    """Return whether a file name is one of `new_aside`."""
    return _ASIDE.fullmatch(name) is not None


def is_aside_of(name: str, target: str) -> bool:
    """Return whether a file name is one of `new_aside` for the file `target`."""
    found = _ASIDE.fullmatch(name)
    return found is not None and found["target"] in (target, _short(target))


def _short(target: str) -> str:
    return blake3(os.fsencode(target)).hexdigest()[:16]


def remove_strays(folder: Path, *, older_than: float, now: float) -> list[Path]:
    """Remove temporary files that a killed writer left directly in `folder`; return their paths.

    Only regular files of our exact name pattern that changed before `older_than`: the daemon's start, in
    seconds since the epoch, so that no running write is disturbed. Those of the far future as of `now` count
    too: the clock was set back. In a folder that cannot be read or written they stay. The time of change
    counts, which no program sets, so that an undo at work keeps its own.
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
            is_old = found.st_ctime < older_than or found.st_ctime - now >= AHEAD_S
            if stat.S_ISREG(found.st_mode) and is_old:
                path.unlink()
                removed.append(path)
        except OSError:
            continue
    return removed
