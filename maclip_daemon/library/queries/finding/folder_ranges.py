"""Folders and photos by their paths, as conditions that are answered from an index."""

from __future__ import annotations

from collections.abc import Sequence

from maclip_daemon.library.storage import stored_paths
from maclip_daemon.library.storage.stored_paths import StoredPath


def is_under(column: str, under: str) -> tuple[str, list[StoredPath]]:
    """Return the SQL condition that a folder's path is `under` or below it, and its values."""
    folder = stored_paths.without_trailing_slash(under)
    conditions, values = [f"{column} = ?"], [stored_paths.stored(folder)]
    for first, end in stored_paths.ranges_under(folder):
        conditions.append(f"{column} >= ? AND {column} < ?")
        values += [first, end]
    return f"({' OR '.join(conditions)})", values


def is_under_any(column: str, paths: Sequence[str]) -> tuple[str, list[StoredPath]]:
    """Return the condition that a folder's path is one of these or below one of them."""
    parts = [is_under(column, path) for path in paths]
    return f"({' OR '.join(condition for condition, _ in parts)})", [
        value for _, values in parts for value in values
    ]


def photos_at(paths: Sequence[str]) -> tuple[str, list[StoredPath]]:
    """Return the query for the ids of the photos at these paths."""
    values: list[StoredPath] = []
    for path in paths:
        folder, name = stored_paths.split(path)
        values += [stored_paths.stored(folder), stored_paths.stored(name)]
    places = " OR ".join(["(at.path = ? AND file.file_name = ?)"] * len(paths))
    return f"SELECT file.id FROM folders at JOIN photos file ON file.folder_id = at.id WHERE {places}", values
