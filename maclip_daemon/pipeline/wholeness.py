"""Is a photo still the file that was found to be whole? Work on a file that is written anew must wait."""

from __future__ import annotations

from maclip_daemon.errors import NoAnswer
from maclip_daemon.folders.patience import Patience
from maclip_daemon.folders.scanner import FoundFile, found_file
from maclip_daemon.library import paths, places
from maclip_daemon.library.database import Library

BEING_WRITTEN = "It is being written. It is looked at again when it is whole."


def look(patience: Patience, path: str) -> FoundFile | None:
    """Look at a path: None when no file is there, and when nobody answers."""
    return patience.ask_or(path, lambda: found_file(path), None)


def is_as_found(library: Library, patience: Patience, path: str) -> bool:
    """Whether the file at `path` has the size and time with which the library knows it.

    True as well when it is gone or was renamed: then it is no other file. False when nobody answers.
    """
    try:
        found = patience.ask(path, lambda: found_file(path))
    except NoAnswer:
        return False
    with library.reading() as session:
        known = places.at(session, *paths.split(path))
    return found is None or known is None or (found.size, found.mtime_ns) == (known.size, known.mtime_ns)
