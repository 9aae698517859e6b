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
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from maclip_daemon.errors import MaclipError, NoAnswer
from maclip_daemon.files import safe_writer
from maclip_daemon.folders.events import EventKind, FolderEvent
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.library.photos import photo_records
from maclip_daemon.library.queue import jobs
from maclip_daemon.library.results import rating_journal
from maclip_daemon.library.results.rating_subjects import RatingSubject, rating_subjects
from maclip_daemon.library.storage.database import Library, Session
from maclip_daemon.metadata.content import xmp_text
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.sidecars import targets
from maclip_daemon.pipeline.run_state import RunState

FILES_IN_ONE_LOOK = 2000  # between two signs of life; a look is one stat
SLACK_S = 1.0  # a file's time may be taken a moment after the journal's
HEARTBEAT_TIMEOUT_S = 300.0  # a sleeping network disk takes its time
MOST_LOOKS = 4  # in vain, each after twice as long: a minute in all
QUIET_S = 2.0  # without a further event: some programs write a sidecar in pieces
MOST_HEARD = 5000  # sidecars that wait for a look; beyond that all rated photos are looked at
LOOKED_AT_TOGETHER = 200  # sidecars; each is read, they have some kilobytes


class _Heard(NamedTuple):
    due: float
    """When it is looked at, unless more is heard of it."""
    looks: int = 0
    """In vain: its folder, or its photo, was being renamed."""


class SidecarMonitor:
    """The sidecars that were written to while we listened: heard by the watchers, looked at in quiet."""

    def __init__(self, library: Library, state: RunState) -> None:
        self._library = library
        self._state = state
        self._heard: dict[str, _Heard] = {}
        self._has_missed_some = False
        self._lock = threading.Lock()

    def overhear(self, event: FolderEvent) -> FolderEvent | None:
        """Remember what an event says about sidecars; what is left of it about photos, if anything."""
        if event.kind is EventKind.FOLDER_MOVED:
            self._follow(event.path + os.sep, event.destination + os.sep)
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

    def look(self, writer: MetadataWriter, scoring_config_id: int) -> int:
        """Queue the photos in whose sidecars stands a person's rating by now; how many.

        Nothing is written for any other change: two machines with the same synchronised folders would
        answer each other without end.
        """
        found = 0
        while (heard := self._quiet()) and not self._state.stopping.is_set():
            self._state.heartbeat.beat("rating", HEARTBEAT_TIMEOUT_S)
            found += self._look_at(heard, writer, scoring_config_id)
        if self._has_missed_some and not self._heard:
            self._has_missed_some = False
            found += queue_changed_files(self._library, self._state)
        return found

    def _look_at(self, heard: dict[str, _Heard], writer: MetadataWriter, scoring_config_id: int) -> int:
        with self._library.reading() as session:
            ours = rating_journal.hashes_written(session, list(heard))
        there = [path for path in heard if os.path.lexists(path)]
        changed = [path for path in there if _is_changed(path, ours.get(path))]
        with self._library.reading() as session:
            photo_ids = _photos_of(session, changed)
            subjects = rating_subjects(session, sorted(set().union(*photo_ids.values())), scoring_config_id)
        rated = [subject.photo_id for subject in subjects if _is_a_persons(writer, subject)]
        if rated:
            with self._library.writing() as session:
                jobs.enqueue_all(session, rated, "rate", self._state.clock())
        unknown = heard.keys() - set(there) | {path for path in changed if not photo_ids.get(path)}
        self._hear_again({path: heard[path] for path in unknown})
        return len(rated)

    def _hear(self, path: str) -> None:
        with self._lock:
            if len(self._heard) < MOST_HEARD or path in self._heard:
                self._heard[path] = _Heard(time.monotonic() + QUIET_S)
            else:
                self._has_missed_some = True

    def _hear_again(self, heard: dict[str, _Heard]) -> None:
        """What is not there, or has no photo, may be being renamed: the library hears of that later."""
        with self._lock:
            for path, before in heard.items():
                if before.looks < MOST_LOOKS and path not in self._heard:
                    wait_s = QUIET_S * 2.0 ** (before.looks + 1)
                    self._heard[path] = _Heard(time.monotonic() + wait_s, before.looks + 1)

    def _follow(self, before: str, now: str) -> None:
        """A folder was renamed, with the sidecars in it."""
        with self._lock:
            self._heard = {
                now + path.removeprefix(before) if path.startswith(before) else path: heard
                for path, heard in self._heard.items()
            }

    def _quiet(self) -> dict[str, _Heard]:
        """Take the sidecars that were left alone for a while."""
        now = time.monotonic()
        with self._lock:
            due = ((path, heard) for path, heard in self._heard.items() if heard.due <= now)
            quiet = dict(islice(due, LOOKED_AT_TOGETHER))
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
        state.heartbeat.beat("rating", HEARTBEAT_TIMEOUT_S)
        with library.reading() as session:
            writes = rating_journal.last_writes(session, after, FILES_IN_ONE_LOOK)
        if not writes:
            break
        after = writes[-1].photo_id
        newer = [write.photo_id for write in writes if _is_newer(write, state.probe)]
        if newer:
            with library.writing() as session:
                jobs.enqueue_all(session, newer, "rate", state.clock())
        changed += len(newer)
    return changed


def _is_newer(write: rating_journal.WrittenFile, probe: FilesystemProbe) -> bool:
    try:
        changed_at = probe.ask(write.path, lambda: os.lstat(write.path).st_mtime)
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


def _photos_of(session: Session, sidecars: Iterable[str]) -> dict[str, set[int]]:
    """The photos whose sidecars these are: `IMG.ext.xmp` and `IMG.xmp` both belong to `IMG.ext`."""
    found: dict[str, set[int]] = {}
    by_folder: dict[str, dict[str, str]] = defaultdict(dict)
    for sidecar in sidecars:
        folder, name = os.path.split(sidecar)
        by_folder[folder][name.rpartition(".")[0]] = sidecar
    for folder, by_base in by_folder.items():
        for name, photo in photo_records.known_in_folder(session, folder).items():
            for base in (name, name.rpartition(".")[0]):
                if base in by_base:
                    found.setdefault(by_base[base], set()).add(photo.photo_id)
    return found
