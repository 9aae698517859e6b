"""Files that somebody else changed after our last write: is the rating in them still ours?

What a person did is never overwritten in any case; this is for `status`, `show` and the database to say whose
rating it is, soon after it was given.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from maclip_daemon.errors import MaclipError, NoAnswer
from maclip_daemon.folders.events import EventKind, FolderEvent
from maclip_daemon.folders.patience import Patience
from maclip_daemon.library import jobs, photos, ratings
from maclip_daemon.library.database import Library, Session
from maclip_daemon.library.rating_subjects import RatingSubject, rating_subjects
from maclip_daemon.metadata import safe_writer, targets, xmp_text
from maclip_daemon.metadata.writer import MetadataWriter
from maclip_daemon.pipeline.run_state import RunState

FILES_IN_ONE_LOOK = 2000  # between two signs of life; a look is one stat
SLACK_S = 1.0  # a file's time may be taken a moment after the journal's
BEAT_S = 300.0  # a sleeping network disk takes its time
QUIET_S = 2.0  # without a further event: some programs write a sidecar in pieces
MOST_HEARD = 5000  # sidecars that wait for a look; beyond that all rated photos are looked at
LOOKED_AT_TOGETHER = 200  # sidecars; each is read, they have some kilobytes


class OtherHands:
    """The sidecars that were written to while we listened: heard by the watchers, looked at in quiet."""

    def __init__(self, library: Library, state: RunState) -> None:
        self._library = library
        self._state = state
        self._heard: dict[str, float] = {}
        self._has_missed_some = False
        self._lock = threading.Lock()

    def overhear(self, event: FolderEvent) -> FolderEvent | None:
        """Remember what an event says about sidecars; what is left of it about photos, if anything."""
        if event.kind not in (EventKind.FILE_CHANGED, EventKind.FILE_GONE, EventKind.FILE_MOVED):
            return event
        present = "" if event.kind is EventKind.FILE_GONE else event.destination or event.path
        if targets.is_sidecar(present):
            self._hear(present)
            present = ""
        before = event.path if event.path != present and not targets.is_sidecar(event.path) else ""
        if before and present:
            return event
        if before:
            return FolderEvent(EventKind.FILE_GONE, before)
        return FolderEvent(EventKind.FILE_CHANGED, present) if present else None

    def have_missed_some(self) -> None:
        """Nobody listened for a while: all rated photos are looked at, as at a start."""
        self._has_missed_some = True

    def look(self, writer: MetadataWriter, scale_id: int) -> int:
        """Queue the photos in whose sidecars stands a person's rating by now; how many.

        Nothing is written for any other change: two machines with the same synchronised folders would
        answer each other without end.
        """
        found = 0
        while (paths := self._quiet()) and not self._state.stopping.is_set():
            self._state.pulse.beat("rating", BEAT_S)
            with self._library.reading() as session:
                ours = ratings.hashes_written(session, paths)
            changed = [path for path in paths if _is_changed(path, ours.get(path))]
            with self._library.reading() as session:
                subjects = rating_subjects(session, _photos_of(session, changed), scale_id)
            rated = [subject.photo_id for subject in subjects if _is_a_persons(writer, subject)]
            if rated:
                with self._library.writing() as session:
                    jobs.enqueue_all(session, rated, "rate", self._state.clock())
            found += len(rated)
        if self._has_missed_some and not self._heard:
            self._has_missed_some = False
            found += queue_changed_files(self._library, self._state)
        return found

    def _hear(self, path: str) -> None:
        with self._lock:
            if len(self._heard) < MOST_HEARD or path in self._heard:
                self._heard.pop(path, None)  # the oldest stand first
                self._heard[path] = time.monotonic()
            else:
                self._has_missed_some = True

    def _quiet(self) -> list[str]:
        """Take the sidecars that were left alone for a while."""
        quiet: list[str] = []
        before = time.monotonic() - QUIET_S
        with self._lock:
            for path, moment in self._heard.items():
                if moment > before or len(quiet) == LOOKED_AT_TOGETHER:
                    break
                quiet.append(path)
            for path in quiet:
                del self._heard[path]
        return quiet


def queue_changed_files(library: Library, state: RunState) -> int:
    """Queue a look at every file that is newer than our last write to it; how many.

    Once a run, for what nobody heard: it costs one stat a rated photo.
    """
    changed = 0
    after = 0
    while not state.stopping.is_set():
        state.pulse.beat("rating", BEAT_S)
        with library.reading() as session:
            writes = ratings.last_writes(session, after, FILES_IN_ONE_LOOK)
        if not writes:
            break
        after = writes[-1].photo_id
        newer = [write.photo_id for write in writes if _is_newer(write, state.patience)]
        if newer:
            with library.writing() as session:
                jobs.enqueue_all(session, newer, "rate", state.clock())
        changed += len(newer)
    return changed


def _is_newer(write: ratings.WrittenFile, patience: Patience) -> bool:
    try:
        changed_at = patience.ask(write.path, lambda: os.lstat(write.path).st_mtime)
    except (OSError, NoAnswer):
        return False
    return changed_at > write.written_at + SLACK_S


def _is_changed(path: str, ours: str | None) -> bool:
    with contextlib.suppress(OSError, MaclipError):
        data, _ = safe_writer.read_regular(Path(path), xmp_text.SIZE_LIMIT)
        return safe_writer.digest(data) != ours
    return False


def _is_a_persons(writer: MetadataWriter, subject: RatingSubject) -> bool:
    with contextlib.suppress(MaclipError):
        return writer.inspect(Path(subject.path), subject.stars_written).owner == "person"
    return False


def _photos_of(session: Session, sidecars: Iterable[str]) -> list[int]:
    """The photos whose sidecars these are: `IMG.ext.xmp` and `IMG.xmp` both belong to `IMG.ext`."""
    bases = defaultdict(set)
    for sidecar in sidecars:
        folder, name = os.path.split(sidecar)
        bases[folder].add(name.rpartition(".")[0])
    return sorted(
        photo.photo_id
        for folder, names in bases.items()
        for name, photo in photos.known_in_folder(session, folder).items()
        if photo.state == "scored" and not names.isdisjoint((name, name.rpartition(".")[0]))
    )
