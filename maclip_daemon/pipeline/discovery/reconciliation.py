"""Reconciliation: a scan finds what is new, changed, moved, returned or missing.

Scans are the truth. The next one finds what lost events would have reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from maclip_daemon.errors import NoAnswer
from maclip_daemon.files import exchange
from maclip_daemon.files.paths import is_below
from maclip_daemon.folders.debounce import FileState, classify
from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.folders.passed_over import PassedOver
from maclip_daemon.folders.scanner import FolderListing, FoundFile, scan
from maclip_daemon.library.photos import gone_copies, photo_records
from maclip_daemon.library.queue import jobs
from maclip_daemon.library.storage import photo_paths
from maclip_daemon.library.storage.database import Library
from maclip_daemon.photos.formats import is_photo, passed_over_kind
from maclip_daemon.pipeline.discovery.rename_detection import RenameDetection
from maclip_daemon.pipeline.discovery.replaced_files import ReplacedFiles
from maclip_daemon.pipeline.recovery import put_back_edits, remove_strays
from maclip_daemon.pipeline.run_state import RunState

SIGHTINGS_PER_TRANSACTION = 500  # short enough that other writers hardly wait
SCAN_HEARTBEAT_TIMEOUT_S = 300.0  # one folder of a sleeping network disk may take minutes


@dataclass
class ScanReport:
    """What one scan found."""

    files: int = 0
    queued: int = 0
    """Photos that must be scored."""
    checked: int = 0
    """Photos of the recorded size and time that are read again, and scored if their picture is another."""
    moved: int = 0
    returned: int = 0
    """Photos that were missing and are as they were."""
    missing: int = 0
    passed_over: PassedOver = field(default_factory=PassedOver)
    problems: list[str] = field(default_factory=list)
    """Folders that could not be read; their photos are not marked as missing."""
    is_complete: bool = False
    """False when the run stopped in the middle."""


@dataclass(frozen=True)
class ScanScope:
    """The root that is scanned."""

    root_id: int
    root: str
    exclusion: Exclusion
    settle_s: float
    """Files that were written within this time do not count as whole."""


class Reconciliation:
    """One scan of a root (or of a folder in it) against the library."""

    def __init__(
        self,
        library: Library,
        state: RunState,
        scope: ScanScope,
        on_settling: Callable[[str], None],
        is_reachable: Callable[[], bool],
    ) -> None:
        """Call `on_settling` for every file that was written too recently to count as whole.

        `is_reachable` tells whether the root can still be read; else no photo is marked as missing.
        """
        self._library = library
        self._state = state
        self._scope = scope
        self._on_settling = on_settling
        self._is_reachable = is_reachable
        self._report = ScanReport()
        self._whole: list[FoundFile] = []
        self._gone: set[int] = set()
        self._moved: set[int] = set()
        self._visited: set[str] = set()
        self._unreadable: list[str] = []

    def run(self, start: str | None = None) -> ScanReport:
        """Scan the root, or the folder `start` in it; update the library and return a report."""
        try:
            self._walk(start)
        except NoAnswer as error:
            self._report.problems.append(str(error))
            return self._report  # a photo that was not found need not be gone
        if self._state.stopping.is_set():
            return self._report
        if not self._is_reachable():
            return self._report  # it went offline during the scan
        self._find_vanished_folders(start or self._scope.root)
        self._mark_missing()
        self._report.is_complete = True
        return self._report

    def _walk(self, start: str | None) -> None:
        """Record what is new in each folder, until the end or until the run stops."""
        known: dict[str, photo_paths.KnownFile] = {}
        folder = None
        listings = scan(self._scope.root, self._scope.exclusion, is_photo, start, passed_over_kind)
        for listing in self._state.probe.iterate(self._scope.root, listings):
            self._state.heartbeat.beat("folders", SCAN_HEARTBEAT_TIMEOUT_S)
            if self._state.stopping.is_set():
                return
            if listing.folder != folder:
                folder = listing.folder
                with self._library.reading() as session:
                    known = photo_paths.known_in_folder(session, folder)
            if listing.has_strays:
                put_back_edits(self._library, self._state.probe, folder, self._state.clock())
                # A process that a hanging disk held may have written after its end; an undo may be at work.
                now = self._state.clock()
                before = min(self._state.began_at, now - exchange.MAY_BE_RUNNING_S)
                remove_strays(self._state.probe, {Path(folder)}, before, now)
            self._compare(listing, known)
            if len(self._whole) >= SIGHTINGS_PER_TRANSACTION:
                self._record()
        self._record()

    def _compare(self, listing: FolderListing, known: dict[str, photo_paths.KnownFile]) -> None:
        self._visited.add(listing.folder)
        self._report.files += len(listing.files)
        if listing.passed_over is not None:
            self._report.passed_over.add(listing.passed_over)
        if listing.problem:
            self._unreadable.append(listing.folder)
            self._report.problems.append(f"{listing.folder}: {listing.problem}")
        now_ns = time.time_ns()
        for file in listing.files:
            before = known.pop(file.name, None)
            if before is not None and before.state != "missing" and before.is_same(file):
                continue
            found_state = classify(file, now_ns, self._scope.settle_s)
            if found_state is FileState.WHOLE:
                self._whole.append(file)
            elif found_state is FileState.SETTLING:
                self._on_settling(file.path)
            else:
                self._report.passed_over.empty.append(file.path)
        if listing.is_complete and not listing.problem:
            self._gone.update(before.photo_id for before in known.values() if before.state != "missing")

    def _record(self) -> None:
        files, self._whole = self._whole, []
        for start in range(0, len(files), SIGHTINGS_PER_TRANSACTION):
            part = files[start : start + SIGHTINGS_PER_TRANSACTION]
            sightings = record(self._library, self._state, self._scope.root_id, part)
            moved = {
                sighting.photo_id: Path(file.path).parent
                for file, sighting in zip(part, sightings, strict=True)
                if sighting.change == "moved"
            }
            self._moved |= moved.keys()
            # A moved folder took along the temporary files of a killed run.
            remove_strays(self._state.probe, set(moved.values()), self._state.began_at, self._state.clock())
            self._report.moved += len(moved)
            self._report.returned += sum(sighting.change == "returned" for sighting in sightings)
            checked = sum(sighting.change == "doubtful" for sighting in sightings)
            self._report.checked += checked
            self._report.queued += sum(sighting.needs_score for sighting in sightings) - checked

    def _find_vanished_folders(self, top: str) -> None:
        with self._library.reading() as session:
            for folder in photo_paths.folders_under(session, top):
                if folder in self._visited or self._is_unreadable(folder):
                    continue
                known = photo_paths.known_in_folder(session, folder).values()
                self._gone.update(before.photo_id for before in known if before.state != "missing")

    def _is_unreadable(self, folder: str) -> bool:
        return any(is_below(folder, unreadable) for unreadable in self._unreadable)

    def _mark_missing(self) -> None:
        # A photo that was found again under another name is not gone, whichever folder was read first.
        gone = self._gone - self._moved
        if gone:
            with self._library.writing() as session:
                self._report.missing = gone_copies.mark_gone(session, gone, self._state.clock())


def record(
    library: Library, state: RunState, root_id: int, files: list[FoundFile], *, were_written: bool = False
) -> list[photo_records.RecordedFile]:
    """Record whole files in one transaction, and queue what needs a score or new stars.

    `were_written`: the file system reported that they were written.
    """
    if not files:
        return []
    now = state.clock()
    former = RenameDetection(library, state.probe, files)
    replaced = ReplacedFiles(files, were_written=were_written)
    with library.writing() as session:
        sightings = [
            photo_records.record_file(
                session,
                root_id,
                file,
                now,
                is_gone=former.is_gone,
                is_there=former.is_there,
                may_be_replaced=replaced.may_be_replaced,
            )
            for file in files
        ]
        to_score = [sighting.photo_id for sighting in sightings if sighting.needs_score]
        moved = [s.photo_id for s in sightings if s.change == "moved" and not s.needs_score]
        jobs.enqueue(session, to_score, "score", now)
        jobs.enqueue(session, moved, "rate", now)
    if any(sighting.change != "same" for sighting in sightings):
        state.wake()
    return sightings
