"""The closing mark: how the library file looked when it was last closed in good order.

A file that still looks so was written by nobody since, and needs no check when it is opened: the check reads
every page, which takes seconds for a million photos.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path


def leave(library: Path) -> None:
    """Leave the mark, after the last connection was closed. Where it cannot be written there is none."""
    if not _is_merged(library):
        return  # another process has the library open
    with contextlib.suppress(OSError):
        mark = json.dumps(_appearance(library))
        descriptor = os.open(_path(library), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(mark)


def stands(library: Path) -> bool:
    """Whether the file is as it was when it was last closed, with nothing left in its write-ahead log."""
    try:
        left = json.loads(_path(library).read_bytes())
        return _is_merged(library) and bool(left == _appearance(library))
    except (OSError, ValueError):
        return False


def exists(library: Path) -> bool:
    """Whether a library was ever closed here in good order."""
    return _path(library).exists()


def _appearance(library: Path) -> list[int]:
    found = library.stat()
    # ctime too: a program may set a file's modification time back, not this one.
    return [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _is_merged(library: Path) -> bool:
    try:
        return Path(f"{library}-wal").stat().st_size == 0
    except FileNotFoundError:
        return True


def _path(library: Path) -> Path:
    return Path(f"{library}.closed")
