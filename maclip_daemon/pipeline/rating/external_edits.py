"""Edits of sidecars by other programs: does the sidecar now hold a person's rating, or was it deleted?

A person's rating is never overwritten, with or without this check. It lets `status`, `show` and the database
report such a rating soon.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from maclip_daemon.errors import MaclipError, NoAnswer, Poison, WriteRefused
from maclip_daemon.folders.events import EventKind, FolderEvent
from maclip_daemon.library.queue import jobs
from maclip_daemon.library.results import written_files
from maclip_daemon.library.results.rating_subjects import RatingSubject, rating_subjects
from maclip_daemon.library.storage import photo_paths
from maclip_daemon.library.storage.database import Library, Session
from maclip_daemon.library.storage.photo_paths import PhotoState
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.sidecars import sidecar_names
from maclip_daemon.pipeline.rating.deleted_sidecars import DeletedSidecars
from maclip_daemon.pipeline.rating.missed_edits import HEARTBEAT_TIMEOUT_S, MissedEdits, is_changed
from maclip_daemon.pipeline.run_state import RunState

UNANSWERED_S = 60.0  # until the files of a server that did not answer are checked again
MAX_RECHECKS = 4  # each after twice as long: a minute in all
DEBOUNCE_S = 2.0  # without a further event: some programs write a sidecar in pieces
MAX_PENDING = 5000  # sidecars; beyond that all rated photos are checked
BATCH_SIDECARS = 200  # read together; they have some kilobytes


class _PendingCheck(NamedTuple):
    due: float
    """The monotonic time of the check; a further event postpones it."""
    rechecks: int = 0
    """Checks that found no sidecar or no photo: one of them may be being renamed."""


class SidecarMonitor:
    """The checks of sidecars that other programs wrote to. Thread-safe, except for `check`."""

    def __init__(
        self, library: Library, state: RunState, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._library = library
        self._state = state
        self._monotonic = monotonic
        self._deleted = DeletedSidecars(library, state, monotonic)
        self._missed = MissedEdits(library, state, self._deleted)
        self._pending: dict[str, _PendingCheck] = {}
        self._must_check_all = False
        self._is_unanswered = False
        """Whether the last full check left out files of a server that did not answer."""
        self._hung: set[str] = set()
        """The folders of such servers then."""
        self._next_full_check = -math.inf
        self._lock = threading.Lock()

    def on_event(self, event: FolderEvent) -> FolderEvent | None:
        """Schedule checks of the sidecars in an event; return its part about photos, or None."""
        if event.kind is EventKind.FOLDER_MOVED:
            self._rename_folder(event.path + os.sep, event.destination + os.sep)
        if event.kind not in (EventKind.FILE_CHANGED, EventKind.FILE_GONE, EventKind.FILE_MOVED):
            return event
        present = "" if event.kind is EventKind.FILE_GONE else event.destination or event.path
        for path in dict.fromkeys((event.path, present)):
            if sidecar_names.is_sidecar(path):
                self._schedule(path)
        if sidecar_names.is_sidecar(present):
            present = ""
        before = event.path if event.path != present and not sidecar_names.is_sidecar(event.path) else ""
        if before and present:
            return event
        if before:
            return FolderEvent(EventKind.FILE_GONE, before)
        return FolderEvent(EventKind.FILE_CHANGED, present) if present else None

    def request_full_check(self) -> None:
        """Check all rated photos soon, because events were lost."""
        self._must_check_all = True

    def check(self, writer: MetadataWriter) -> int:
        """Queue photos whose sidecar was deleted, or holds or held a person's rating; return the count.

        Other changes are not answered: two machines that share synchronised folders would answer each other
        without end.
        """
        found = 0
        while (due := self._take_due()) and not self._state.stopping.is_set():
            self._state.heartbeat.beat("rating", HEARTBEAT_TIMEOUT_S)
            found += self._check_batch(due, writer)
        answers_again = self._is_unanswered and (
            not self._hung or not self._hung <= {*self._state.probe.hung_folders()}
        )
        is_due = (self._must_check_all or answers_again) and self._monotonic() >= self._next_full_check
        if is_due and not self._pending:
            self._must_check_all, began = False, self._monotonic()
            found += self.check_all()
            # At most a tenth of the time: photos may come back one by one, for hours.
            pause_s = max(9 * (self._monotonic() - began), UNANSWERED_S if self._is_unanswered else 0.0)
            self._next_full_check = self._monotonic() + pause_s
        return found

    def check_all(self) -> int:
        """Queue the photos whose files changed while nobody watched; return the count.

        Files of a server that does not answer are checked again once it does.
        """
        found = self._missed.queue()
        self._is_unanswered = not self._missed.is_complete
        self._hung = set(self._state.probe.hung_folders())
        return found

    def _check_batch(self, due: dict[str, _PendingCheck], writer: MetadataWriter) -> int:
        with self._library.reading() as session:
            ours = written_files.hashes_written(session, list(due))
        silent: set[str] = set()
        seen = {path: self._ask(path, partial(os.path.lexists, path), silent) for path in due}
        present = [path for path, is_there in seen.items() if is_there]
        changes = {
            path: self._ask(path, partial(is_changed, path, ours.get(path)), silent) for path in present
        }
        changed = [path for path, has_changed in changes.items() if has_changed]
        with self._library.reading() as session:
            photos = _photos_of(session, changed)
            subjects = rating_subjects(session, sorted(set().union(*photos.values())))
        # Where the library has a person's rating, the file may hold none any more.
        owners: dict[int, bool | None] = {}
        silent_ids: set[int] = set()
        for subject in subjects:
            try:
                is_persons = subject.rating_owner == "person" or _is_persons(writer, subject)
            except MaclipError as error:
                is_persons = None
                if not isinstance(error, Poison | WriteRefused):  # such a file is no other one later
                    silent_ids.add(subject.photo_id)
            owners[subject.photo_id] = is_persons
        rated = [photo_id for photo_id, is_persons in owners.items() if is_persons]
        if rated:
            with self._library.writing() as session:
                jobs.enqueue(session, rated, "rate", self._state.clock())
        away = {path for path, is_there in seen.items() if is_there is False}
        # At the first check a sidecar may be away because another program is replacing or renaming it.
        deleted = self._queue_deleted([path for path in away if due[path].rechecks])
        unknown = away - deleted | {path for path, has_changed in changes.items() if has_changed is None}
        unread_ids = {photo_id for photo_id, is_persons in owners.items() if is_persons is None}
        # Or its photo is not there yet, or could not be read.
        unknown |= {
            path
            for path in changed
            if (known := photos.get(path)) is None or "missing" in known.values() or unread_ids & known.keys()
        }
        silent |= {path for path in changed if silent_ids & photos.get(path, {}).keys()}
        self._reschedule({path: due[path] for path in unknown | silent})
        if any(due[path].rechecks >= MAX_RECHECKS for path in silent):
            self._must_check_all = True  # by the content, once the file can be read
        return len(rated) + len(deleted)

    def _ask(self, path: str, operation: Callable[[], bool | None], silent: set[str]) -> bool | None:
        """Return the answer about a path; without one add it to `silent`."""
        try:
            return self._state.probe.call(path, operation)
        except NoAnswer:
            silent.add(path)
            return None

    def _queue_deleted(self, away: list[str]) -> set[str]:
        """Queue the photos whose sidecar was deleted; return these sidecars."""
        if not away:
            return set()
        with self._library.reading() as session:
            writes = written_files.last_writes_to(session, away)
        return {write.path for write in self._deleted.queue(writes)}

    def _schedule(self, path: str) -> None:
        with self._lock:
            if len(self._pending) < MAX_PENDING or path in self._pending:
                self._pending[path] = _PendingCheck(self._monotonic() + DEBOUNCE_S)
            else:
                self._must_check_all = True

    def _reschedule(self, checked: dict[str, _PendingCheck]) -> None:
        """Check again later; another program may be renaming a sidecar or its photo."""
        with self._lock:
            for path, before in checked.items():
                if before.rechecks < MAX_RECHECKS and path not in self._pending:
                    wait_s = DEBOUNCE_S * 2.0 ** (before.rechecks + 1)
                    self._pending[path] = _PendingCheck(self._monotonic() + wait_s, before.rechecks + 1)

    def _rename_folder(self, before: str, after: str) -> None:
        with self._lock:
            self._pending = {
                after + path.removeprefix(before) if path.startswith(before) else path: pending
                for path, pending in self._pending.items()
            }

    def _take_due(self) -> dict[str, _PendingCheck]:
        now = self._monotonic()
        with self._lock:
            due = ((path, pending) for path, pending in self._pending.items() if pending.due <= now)
            taken = dict(islice(due, BATCH_SIDECARS))
            for path in taken:
                del self._pending[path]
        return taken


def _is_persons(writer: MetadataWriter, subject: RatingSubject) -> bool:
    """Return whether a person rated this photo. Raises `MaclipError` where that could not be read."""
    return writer.inspect(Path(subject.path), subject.stars_written).owner == "person"


def _photos_of(session: Session, sidecars: Iterable[str]) -> dict[str, dict[int, PhotoState]]:
    """Return ids and states of the photos by sidecar: `IMG.ext.xmp` and `IMG.xmp` belong to `IMG.ext`."""
    found: dict[str, dict[int, PhotoState]] = {}
    by_folder: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for sidecar in sidecars:
        folder, name = os.path.split(sidecar)
        by_folder[folder][sidecar_names.key_of(name.rpartition(".")[0])].append(sidecar)
    for folder, by_base in by_folder.items():
        for name, photo in photo_paths.known_in_folder(session, folder).items():
            for base in (name, name.rpartition(".")[0]):
                for sidecar in by_base.get(sidecar_names.key_of(base), ()):
                    found.setdefault(sidecar, {})[photo.photo_id] = photo.state
    return found
