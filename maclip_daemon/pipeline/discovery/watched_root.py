"""A watched root: its health, its watcher, its settling files and its next scan."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from maclip_daemon.errors import NoAnswer
from maclip_daemon.folders import root_health
from maclip_daemon.folders.debounce import Debouncer
from maclip_daemon.folders.events import FolderEvent
from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.folders.passed_over import PassedOver, inside_library_warning
from maclip_daemon.folders.root_health import (
    Root,
    RootFacts,
    RootHealth,
    RootState,
)
from maclip_daemon.library.photos import missing_photos
from maclip_daemon.library.photos import root_records as library_roots
from maclip_daemon.library.queries.status import PASSED_OVER_NOTE
from maclip_daemon.library.queue import rating_queue
from maclip_daemon.library.storage import photo_paths
from maclip_daemon.library.storage.database import Library, Session
from maclip_daemon.library.storage.notes import put_note
from maclip_daemon.pipeline import known_roots
from maclip_daemon.pipeline.discovery.reconciliation import Reconciliation, ScanReport, ScanScope
from maclip_daemon.pipeline.discovery.watcher_supervisor import WatcherSupervisor
from maclip_daemon.pipeline.run_state import RunState, log
from maclip_daemon.pipeline.waits import Resource
from maclip_daemon.settings import FolderSettings

SERVER_CLOCK_SLACK_S = 60.0
MISSING_PER_TRANSACTION = 5000  # a million at once would hold the database for many seconds
OFFLINE_CHECK_S = 10.0  # checking a folder that does not exist costs nothing
PROBLEMS_SHOWN = 5
HEARTBEAT_MARGIN_S = 60.0  # beyond the time-out of a folder


class WatchedRoot:
    """One root. Owned by the discovery thread; the watcher's callback runs in another."""

    def __init__(self, library: Library, state: RunState, settings: FolderSettings, root: Root) -> None:
        self.root = root
        self.path = root.path
        self.debouncer = Debouncer(settings.settle_s)
        self.next_scan = time.monotonic()
        self.health: RootHealth | None = None
        self.report: ScanReport | None = None
        self.lost_events = False
        """Whether more events came than the queue holds; set by the watcher's thread."""
        self._expected: tuple[int, list[str]] = (0, [])
        self._library = library
        self._state = state
        self._settings = settings
        self._exclusion = Exclusion(settings.exclude)
        self._watcher = WatcherSupervisor(root, self._exclusion, settings.rescan_interval_s, state.clock)
        self.was_cut_short = False
        """Whether the last scan could not read everything."""
        self._problems: list[str] = []
        self.is_doubted = False
        """Whether reading a photo failed lately; the next check reads some photos. Set by decoder threads."""
        self._recorded: tuple[library_roots.RootStatus, RootHealth] | None = None
        self._noted: dict[str, Any] | None = None
        if (warning := inside_library_warning(root.path)) is not None:
            log.warning("folder of another program", folder=root.path, warning=warning)
        with library.writing() as session:
            self.root_id = library_roots.root_for(session, root.path, state.clock())
            known = self._known(session)
        self._facts = None if known.device is None else RootFacts(known.device)

    def check(self) -> bool:
        """Check and record the root's health; return False when it is paused and its photos are missing."""
        with self._library.reading() as session:
            _, sample = self._expected
            if self.health is None or self.health.state is RootState.HEALTHY:
                # While it is offline, sampling all that is missing would be slow.
                sample = self._sample(session)
            self._expected = self._known(session).photo_count, sample
        health = self._measure_health()
        if health is None:
            return False
        if health.state is RootState.HEALTHY:
            self._facts = health.facts
            self.is_doubted = False
            new_state: library_roots.RootStatus = "polled" if health.is_polled else "watched"
        else:
            new_state = "paused"
        if self.health is None or health.state is not self.health.state:
            log.log(
                *((20, "folder watched") if new_state != "paused" else (40, "folder paused")),
                folder=self.path,
                **({"reason": health.reason} if health.reason else {}),
            )
        self.health = health
        self._record(new_state, health)
        wait = Resource("root", self.path)
        if new_state != "paused":
            self._state.waits.end(wait)
            return True
        self._state.waits.begin(wait, health.reason, for_s=self.scan_interval_s())
        self._watcher.pause()
        return False

    def _measure_health(self) -> RootHealth | None:
        """Return the health of the root; None: the run stops."""
        probe = self._state.probe
        probe.refresh_mounts(self.path)
        self._state.heartbeat.beat("folders", self._settings.filesystem_timeout_s + HEARTBEAT_MARGIN_S)
        facts, expected, is_doubted = self._facts, self._expected, self.is_doubted
        try:
            return probe.call_below(
                self.path, lambda: root_health.check(self.root, facts, *expected, read_sample=is_doubted)
            )
        except NoAnswer as error:
            return None if self._state.stopping.is_set() else root_health.unresponsive(self.root, str(error))

    def listen(self, on_event: Callable[[WatchedRoot, FolderEvent], None]) -> bool:
        """Start the watcher where events arrive and none runs yet; return whether it was started."""
        if self._settings.watch and self.health is not None and not self.health.is_polled:
            return self._watcher.start(lambda event: on_event(self, event))
        self.close()
        return False

    @property
    def is_paused(self) -> bool:
        """Return whether the last check found the root offline."""
        return self.health is not None and self.health.state is not RootState.HEALTHY

    def has_died(self) -> bool:
        """Return whether a watcher that should run has died."""
        return self._watcher.has_died

    def close_dead_watcher(self) -> None:
        """Close a watcher that died; the next scan starts another and finds the lost events."""
        log.warning("watcher died; starting another", folder=self.path)
        self.next_scan = min(self.next_scan, time.monotonic() + self._watcher.close_dead())

    def scan(self, start: str | None = None) -> ScanReport:
        """Reconcile the root, or a folder in it, with the library; return a report."""
        report = Reconciliation(
            self._library,
            self._state,
            ScanScope(self.root_id, self.path, self._exclusion, self._settle_s()),
            lambda path: self.debouncer.touch(path, time.monotonic()),
            self.is_reachable,
        ).run(start)
        if report.returned:
            self.queue_ratings_of_returned()
        for problem in report.problems:
            log.warning("folder cannot be read", problem=problem)
        self.was_cut_short, self._problems = not report.is_complete, report.problems
        if start is None and report.is_complete:
            self.report = report
            with self._library.writing() as session:
                library_roots.record_scan(session, self.root_id, self._state.clock())
            self._note_passed_over(report.passed_over)
            self._watcher.update_coverage()
        return report

    def add_empty(self, paths: tuple[str, ...]) -> None:
        """Name files that settled with 0 bytes since the last scan."""
        if paths and self.report is not None:
            known = self.report.passed_over.empty
            known += [path for path in paths if path not in known]
            self._note_passed_over(self.report.passed_over)

    def _note_passed_over(self, found: PassedOver) -> None:
        """Store what was passed over, for `maclip status`, when it changed."""
        note = found.as_json()
        if note != self._noted:
            with self._library.writing() as session:
                put_note(session, f"{PASSED_OVER_NOTE}{self.root_id}", note, self._state.clock())
            self._noted = note

    def queue_ratings_of_returned(self) -> None:
        """Queue ratings again. Missing photos lost theirs, and missed calibrations."""
        with self._library.writing() as session:
            rating_queue.enqueue(session, self._state.clock())
        self._state.wake()

    def is_reachable(self) -> bool:
        """Return whether the root can be read, is on its former device, and is not suddenly empty."""
        photos_expected, _ = self._expected
        try:
            device, holds_anything = self._state.probe.call(
                self.path, lambda: root_health.quick_check(self.root)
            )
        except (OSError, NoAnswer):
            return False
        is_same_device = self._facts is None or device == self._facts.device
        return is_same_device and (holds_anything or not photos_expected)

    def can_be_read(self) -> bool:
        """Return whether the root is reachable and a few of its photos can be read. For any thread.

        Tells whether a photo or its disk is to blame. A doubted root is offline until its next `check`.
        """
        if not self.is_reachable():
            return False
        with self._library.reading() as session:
            sample = self._sample(session)
        try:
            failed = self._state.probe.call_below(self.path, lambda: root_health.read_failure(sample))
        except NoAnswer:
            return False
        return not failed and not self.is_doubted

    def _settle_s(self) -> float:
        """Return the settling time. The clock of a file server may be a minute off."""
        polled = self.health is not None and self.health.is_polled
        return max(self._settings.settle_s, SERVER_CLOCK_SLACK_S) if polled else self._settings.settle_s

    def scan_interval_s(self) -> float:
        """Return the seconds between scans: few without events, or while the root is offline."""
        if self.is_paused or self.was_cut_short:
            return min(OFFLINE_CHECK_S, self._settings.rescan_interval_s)
        if self._watcher.covers_all:
            return self._settings.rescan_interval_s
        return min(self._settings.poll_interval_s, self._settings.rescan_interval_s)

    def description(self) -> dict[str, Any]:
        """Return what `maclip status` prints about this root."""
        health, coverage = self.health, self._watcher.coverage
        warnings = self._watcher.warnings()
        warnings += self._problems[:PROBLEMS_SHOWN]
        if (more := len(self._problems) - PROBLEMS_SHOWN) > 0:
            warnings.append(f"and {more} more folders that cannot be read (the log names them)")
        return {
            "path": self.path,
            "state": str(health.state) if health else "new",
            "reason": health.reason if health else "",
            "file_system": health.file_system if health else "",
            "events": self._watcher.is_alive,
            "folders": coverage.folders if coverage else None,
            "folders_watched": coverage.watched if coverage else None,
            "warnings": warnings,
        }

    def close(self) -> None:
        """Close the watcher."""
        self._watcher.close()

    def _record(self, state: library_roots.RootStatus, health: RootHealth) -> None:
        """Store what changed since the last check; an idle daemon writes nothing."""
        if self._recorded == (state, health):
            return
        with self._library.writing() as session:
            library_roots.set_state(
                session,
                self.root_id,
                state,
                reason=health.reason or None,
                device=health.facts.device if health.facts else None,
                file_system=health.file_system or None,
            )
        if state == "paused":
            with self._library.reading() as session:
                present = photo_paths.present_under(session, self.path)
            for start in range(0, len(present), MISSING_PER_TRANSACTION):
                with self._library.writing() as session:
                    part = present[start : start + MISSING_PER_TRANSACTION]
                    missing_photos.mark_missing(session, part, self._state.clock())
        self._recorded = (state, health)

    def _known(self, session: Session) -> library_roots.KnownRoot:
        return {root.id: root for root in library_roots.known_roots(session)}[self.root_id]

    def _sample(self, session: Session) -> list[str]:
        return known_roots.sample_photos(session, self.path, self._facts.device if self._facts else None)
