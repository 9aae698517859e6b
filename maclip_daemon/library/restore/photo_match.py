"""The same photo in two libraries."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from maclip_daemon.library.restore.former_library import PhotoKey


def same_photo(new: sqlite3.Connection, key: PhotoKey) -> int | None:
    """Return the id of the same photo: by its path, else by its file, else by pixels that no other has."""
    at_path = new.execute(
        "SELECT p.id, p.pixel_hash FROM photos p JOIN folders f ON f.id = p.folder_id"
        " WHERE f.path = ? AND p.file_name = ?",
        (key.folder, key.file_name),
    ).fetchone()
    if at_path is not None and (None in (at_path[1], key.pixel_hash) or at_path[1] == key.pixel_hash):
        return int(at_path[0])
    device, inode, size, mtime_ns = key.identity
    queries: Sequence[tuple[str, Mapping[str, object]]] = (
        (
            "device = :device AND inode = :inode AND size = :size AND mtime_ns = :mtime_ns",
            {"device": device, "inode": inode, "size": size, "mtime_ns": mtime_ns},
        ),
        ("pixel_hash = :pixels", {"pixels": key.pixel_hash}),
    )
    for condition, values in queries:
        found = new.execute(f"SELECT id FROM photos WHERE {condition} LIMIT 2", values).fetchall()
        if len(found) == 1:
            return int(found[0][0])
    return None
