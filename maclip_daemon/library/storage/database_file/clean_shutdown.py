"""The mark of a clean shutdown: how the database file looked when it was last closed.

A file that still looks so was written by nobody since. It needs no check when it is opened: the check reads
every page, which takes seconds for a million photos.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

ENDING = ".closed"  # of the mark, after the name of the database file


def record(library: Path) -> None:
    """Write the mark, after the last connection was closed; no mark where it cannot be written."""
    with contextlib.suppress(OSError):
        if (appearance := _appearance(library)) is not None:
            mark = Path(f"{library}{ENDING}")
            mark.touch(mode=0o600)
            mark.write_text(json.dumps(appearance), encoding="ascii")


def is_clean(library: Path) -> bool:
    """Tell whether the file is as it was closed, with nothing left in its write-ahead log."""
    try:
        recorded = json.loads(Path(f"{library}{ENDING}").read_bytes())
        return recorded is not None and bool(recorded == _appearance(library))
    except (OSError, ValueError):
        return False


def _appearance(library: Path) -> list[int] | None:
    log = Path(f"{library}-wal")
    if log.exists() and log.stat().st_size > 0:
        return None  # another process has the library open, or died with it
    found = library.stat()
    # ctime too: a program may set a file's modification time back, not this one.
    return [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
