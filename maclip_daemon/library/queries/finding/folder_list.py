"""The folders to choose from: those with photos, and those above them up to the watched roots."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence

from maclip_daemon.files.paths import is_below, printable_utf8
from maclip_daemon.library.storage import stored_paths


def roots(snapshot: sqlite3.Connection) -> list[str]:
    """Return the watched folders."""
    return [
        stored_paths.restored(path) for (path,) in snapshot.execute("SELECT path FROM roots ORDER BY path")
    ]


def folders(snapshot: sqlite3.Connection, under: Sequence[str] = ()) -> list[str]:
    """Return the folders with photos that are there, and those above them, in order.

    `under`: only folders at or below these paths.
    """
    tops = roots(snapshot)
    rows = snapshot.execute(
        "SELECT path FROM folders f WHERE EXISTS"
        " (SELECT 1 FROM photos p WHERE p.folder_id = f.id AND p.state <> 'missing')"
    )
    found: set[str] = set()
    for (stored,) in rows:
        path = stored_paths.restored(stored)
        root = next((top for top in tops if is_below(path, top)), path)
        found.update(_up_to(path, root, found))
    chosen = (path for path in found if not under or any(is_below(path, each) for each in under))
    return sorted(chosen)


def named(snapshot: sqlite3.Connection, text: str) -> str:
    """Return the folder that a page calls `text`: bytes that are not UTF-8 are escaped there."""
    if "\\" not in text:
        return text
    return next((path for path in folders(snapshot) if printable_utf8(path) == text), text)


def _up_to(path: str, root: str, known: set[str]) -> Iterable[str]:
    while path not in known:
        yield path
        above = os.path.dirname(path)  # noqa: PTH120 - a string of any bytes
        if path == root or above == path:
            return
        path = above
