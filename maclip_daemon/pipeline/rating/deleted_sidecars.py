"""Sidecars of maclip that another program deleted: each is written again, but not over and over.

darktable deletes sidecars with *write sidecar file: after edit*; cleaners and `rsync --delete` do too. A
program that deletes again and again would make maclip write without end: one sidecar, once a day.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from maclip_daemon.errors import NoAnswer
from maclip_daemon.files.suffixes import FILM_SUFFIXES, suffix_of
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.library.queue import jobs
from maclip_daemon.library.results import written_files
from maclip_daemon.library.results.written_files import WrittenFile
from maclip_daemon.library.storage import photo_paths
from maclip_daemon.library.storage.database import Library
from maclip_daemon.library.storage.notes import put_note
from maclip_daemon.metadata.sidecars import sidecar_names
from maclip_daemon.pipeline.run_state import RunState

NOTE = "deleted_sidecars"
"""The key of the note for `maclip status`: how many were `deleted`, how many of them wait (`held_back`), and
when (`at`, Unix seconds)."""
AGAIN_AFTER_S = 86_400.0  # for a sidecar that was deleted once more
PAGE = 2000  # written files looked at together


class DeletedSidecars:
    """The deleted sidecars of one run. Owned by the rating thread."""

    def __init__(
        self, library: Library, state: RunState, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._library = library
        self._state = state
        self._monotonic = monotonic
        self._written_again: dict[str, float] = {}
        self._held_back: set[str] = set()

    def queue(self, missing: Sequence[WrittenFile]) -> list[WrittenFile]:
        """Queue the photos among these whose sidecar was deleted; return the files that were queued.

        `missing`: files of the journal that are not at their paths. A photo that is gone too, or offline, has
        lost nothing.
        """
        deleted = find(self._library, self._state.probe, missing)
        if not deleted:
            return []
        now = self._monotonic()
        due = [each for each in deleted if now >= self._earliest(each.path)]
        self._written_again |= dict.fromkeys((each.path for each in due), now)
        self._held_back -= {each.path for each in due}
        self._held_back |= {each.path for each in deleted} - {each.path for each in due}
        with self._library.writing() as session:
            jobs.enqueue(session, [each.photo_id for each in due], "rate", self._state.clock())
            moment = self._state.clock()
            counts = {"deleted": len(self._written_again), "held_back": len(self._held_back)}
            put_note(session, NOTE, counts | {"at": moment}, moment)
        return due

    def _earliest(self, path: str) -> float:
        """Return the monotonic time from which a sidecar may be written again."""
        return self._written_again.get(path, -math.inf) + AGAIN_AFTER_S


def find_all(library: Library, probe: FilesystemProbe) -> list[WrittenFile]:
    """Return every deleted sidecar of the library. Costs one stat for each rated photo."""
    found: list[WrittenFile] = []
    after = 0
    while True:
        with library.reading() as session:
            writes = written_files.last_writes(session, after, PAGE)
        if not writes:
            return found
        after = writes[-1].photo_id
        missing = [write for write in writes if is_missing(probe, write.path)]
        found += find(library, probe, missing)


def find(library: Library, probe: FilesystemProbe, missing: Sequence[WrittenFile]) -> list[WrittenFile]:
    """Return those of the missing files whose photo is there, and has no other sidecar."""
    if not missing:
        return []
    with library.reading() as session:
        photos = photo_paths.locations_of(session, [write.photo_id for write in missing])
    found = []
    for write in missing:
        photo = photos.get(write.photo_id)
        if photo is not None and _has_lost_its_sidecar(probe, photo.path):
            found.append(write)
    return found


def is_missing(probe: FilesystemProbe, path: str) -> bool:
    """Return whether nothing is at a path; False while its server does not respond."""
    return probe.call_or(path, lambda: not os.path.lexists(path), False)


def _has_lost_its_sidecar(probe: FilesystemProbe, photo: str) -> bool:
    try:
        return probe.call(photo, lambda: os.path.lexists(photo) and not _has_sidecar(Path(photo)))
    except (OSError, NoAnswer):
        return False


def _has_sidecar(photo: Path) -> bool:
    """Return whether a photo has a sidecar; the `IMG.xmp` of a film beside it may be the film's."""
    kinds = {each.kind for each in sidecar_names.find_all(photo)}
    if kinds != {"stem"}:
        return bool(kinds)
    sharers = sidecar_names.listing_of(photo.parent).sharers_of(photo.name)
    return not any(suffix_of(name) in FILM_SUFFIXES for name in sharers)
