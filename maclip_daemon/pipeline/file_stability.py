"""Is a photo still the file that was found to be whole? Work on a file that is written anew must wait."""

from __future__ import annotations

from maclip_daemon.errors import NoAnswer
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.folders.scanner import FoundFile, found_file
from maclip_daemon.library.storage import photo_paths, stored_paths
from maclip_daemon.library.storage.database import Library

BEING_WRITTEN = "It is being written. It is looked at again when it is whole."


def look(probe: FilesystemProbe, path: str) -> FoundFile | None:
    """Look at a path: None when no file is there, and when nobody answers."""
    return probe.call_or(path, lambda: found_file(path), None)


def is_unchanged(library: Library, probe: FilesystemProbe, path: str) -> bool:
    """Whether the file at `path` has the size and time with which the library knows it.

    True as well when it is gone or was renamed: then it is no other file. False when nobody answers.
    """
    try:
        found = probe.call(path, lambda: found_file(path))
    except NoAnswer:
        return False
    with library.reading() as session:
        known = photo_paths.photo_at(session, *stored_paths.split(path))
    return found is None or known is None or (found.size, found.mtime_ns) == (known.size, known.mtime_ns)
