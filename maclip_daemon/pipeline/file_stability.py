"""Tell whether a photo is still the file that discovery recorded, or is gone."""

from __future__ import annotations

import os

from maclip_daemon.errors import NoAnswer
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.folders.scanner import FoundFile, found_file
from maclip_daemon.library.storage import photo_paths, stored_paths
from maclip_daemon.library.storage.database import Library

BEING_WRITTEN = "The file is still being written; it is tried again when it is complete."


def find_file(probe: FilesystemProbe, path: str) -> FoundFile | None:
    """Return the file at a path; None without one, or when its server does not respond."""
    return probe.call_or(path, lambda: found_file(path), None)


def is_unchanged(library: Library, probe: FilesystemProbe, path: str, photo_id: int) -> bool:
    """Return whether the file at `path` has the size and time that the library recorded of this photo.

    True as well when it is gone or renamed and no other file took its place. False when one did, or when its
    server does not respond.
    """
    try:
        found = probe.call(path, lambda: found_file(path))
    except NoAnswer:
        return False
    with library.reading() as session:
        known = photo_paths.photo_at(session, *stored_paths.split(path))
    if found is None:
        return True
    if known is None or known.id != photo_id:
        return False
    return (found.size, found.mtime_ns) == (known.size, known.mtime_ns)


def is_gone(path: str) -> bool:
    """Return whether nothing is at `path` in exactly this spelling.

    On FAT, NTFS and APFS a file that was renamed to `img.jpg` still opens as `IMG.jpg`.
    """
    try:
        if os.lstat(path).st_nlink > 1:
            return False  # two names of one file
        while path != os.sep:
            path, name = os.path.split(path)
            if name not in os.listdir(path):  # noqa: PTH208 - names as they are, also those that are not UTF-8
                return True
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
