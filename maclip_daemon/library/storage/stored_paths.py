"""Paths in the database: readable text where they are UTF-8, the exact bytes where they are not."""

from __future__ import annotations

import os

StoredPath = str | bytes


def stored(path: str | os.PathLike[str]) -> StoredPath:
    """Return what goes into a column: `str` for valid UTF-8, else the raw bytes of the name (a BLOB)."""
    text = os.fspath(path)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # surrogate escapes: the name on disk is not UTF-8
        return os.fsencode(text)
    return text


def restored(value: StoredPath) -> str:
    """Turn a column back into the path that `os` functions take (undecodable bytes as surrogate escapes)."""
    return os.fsdecode(value) if isinstance(value, bytes) else value


def split(path: str | os.PathLike[str]) -> tuple[str, str]:
    """Split a file's path into its folder and its name."""
    folder, name = os.path.split(os.fspath(path))
    return folder, name


def join(folder: StoredPath, name: StoredPath) -> str:
    """Put a stored folder and a stored name together again."""
    return os.path.join(restored(folder), restored(name))


def without_trailing_slash(path: str | os.PathLike[str]) -> str:
    """Return a folder as the database spells it: no slash at the end, except for `/`."""
    text = os.fspath(path)
    return text.rstrip(os.sep) or os.sep


def ranges_under(folder: str | os.PathLike[str]) -> list[tuple[StoredPath, StoredPath]]:
    """Return half-open column ranges [first, end) that hold exactly the paths below `folder`.

    Two ranges, because SQLite sorts every BLOB behind every TEXT: a name that is not UTF-8 may lie in a
    folder that is. Both are answered from the index, where LIKE would read every row.
    """
    prefix = os.fsencode(without_trailing_slash(folder).rstrip(os.sep)) + b"/"
    end = prefix[:-1] + b"0"  # "0" follows "/" in ASCII
    try:
        return [(prefix.decode("utf-8"), end.decode("utf-8")), (prefix, end)]
    except UnicodeDecodeError:
        return [(prefix, end)]
