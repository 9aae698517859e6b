"""Tell whether a photo is still the file that discovery recorded."""

from __future__ import annotations

from maclip_daemon.errors import NoAnswer
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.folders.scanner import FoundFile, found_file
from maclip_daemon.library.storage import photo_paths, stored_paths
from maclip_daemon.library.storage.database import Library

BEING_WRITTEN = "The file is still being written; it is tried again when it is complete."


def find_file(probe: FilesystemProbe, path: str) -> FoundFile | None:
    """Return the file at a path; None without one, or when its server does not respond."""
    return probe.call_or(path, lambda: found_file(path), None)


def is_unchanged(library: Library, probe: FilesystemProbe, path: str) -> bool:
    """Return whether the file at `path` has the size and time that the library recorded.

    True as well when it is gone or renamed: no other file took its place. False when its server does not
    respond.
    """
    try:
        found = probe.call(path, lambda: found_file(path))
    except NoAnswer:
        return False
    with library.reading() as session:
        known = photo_paths.photo_at(session, *stored_paths.split(path))
    return found is None or known is None or (found.size, found.mtime_ns) == (known.size, known.mtime_ns)
