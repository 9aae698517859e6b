"""A watched root at work: its health, its watcher, its settling files, and when it is scanned next."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from maclip_daemon.errors import EnvironmentUnfit
from maclip_daemon.folders import roots
from maclip_daemon.folders.events import Coverage, FolderEvent
from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.folders.roots import Root, RootFacts, RootHealth, RootState
from maclip_daemon.folders.settler import Settler
from maclip_daemon.folders.watcher import Watcher, watch
from maclip_daemon.library import photos, ratings
from maclip_daemon.library import roots as library_roots
from maclip_daemon.library.database import Library, Session
from maclip_daemon.photos.formats import is_photo
from maclip_daemon.pipeline.reconciliation import Reconciliation, ScanReport
from maclip_daemon.pipeline.run_state import RunState, log
from maclip_daemon.settings import FolderSettings

SERVER_CLOCK_SLACK_S = 60.0
MISSING_IN_ONE_TRANSACTION = 5000  # a million at once would hold the database for many seconds
AWAY_INTERVAL_S = 10.0  # one look at a folder that is not there costs nothing
SAMPLED_PHOTOS = 8  # known photos that are looked for when a root has another device id


class Place:
    """One root. Owned by the intake thread; only the watcher's callback runs elsewhere."""

    def __init__(self, library: Library, state: RunState, settings: FolderSettings, root: Root) -> None:
        self.root = root
        self.settler = Settler(settings.settle_s)
        self.next_scan = time.monotonic()
        self.health: RootHealth | None = None
        self.coverage: Coverage | None = None
        self.report: ScanReport | None = None
        self.lost_events = False
        """More came at once than are followed singly; set by the watcher's thread."""
        self._expected: tuple[int, list[str]] = (0, [])
        self._library = library
        self._state = state
        self._settings = settings
        self._exclusion = Exclusion(settings.exclude)
        self._watcher: Watcher | None = None
        self._watch_problem = ""
        self._remembered: tuple[library_roots.RootState, RootHealth] | None = None
        with library.writing() as session:
            self.root_id = library_roots.root_for(session, root.path, state.clock())
            known = self._known(session)
        self._facts = None if known.device is None else RootFacts(known.device)

    def check(self) -> bool:
        """Look at the root's health and remember it; False: it is paused and its photos are missing."""
        if self.health is None or self.health.state is RootState.HEALTHY:
            # What a paused root is compared with stays as it was: by now all its photos are missing.
            with self._library.reading() as session:
                self._expected = self._known(session).photo_count, self._sample(session)
        health = roots.check(self.root, self._facts, *self._expected)
        if health.state is RootState.HEALTHY:
            self._facts = health.facts
            new_state: library_roots.RootState = "polled" if health.is_polled else "watched"
        else:
            new_state = "paused"
        if self.health is None or health.state is not self.health.state:
            log.log(
                *((20, "folder watched") if new_state != "paused" else (40, "folder paused")),
                folder=self.root.path,
                **({"reason": health.reason} if health.reason else {}),
            )
        self.health = health
        self._remember(new_state, health)
        if new_state == "paused":
            self.close()
        return new_state != "paused"

    def listen(self, on_event: Callable[[Place, FolderEvent], None]) -> None:
        """Start the watcher where events arrive and none runs yet."""
        if self._watcher is not None and self._watcher.alive:
            return
        self.close()
        if not self._settings.watch or self.health is None or self.health.is_polled:
            return
        try:
            self._watcher = watch(self.root, self._exclusion, is_photo, lambda event: on_event(self, event))
            self._watch_problem = ""
        except EnvironmentUnfit as error:
            # Scans go on; `maclip status` says what is wrong and what to do.
            self._watch_problem = str(error)
            log.warning("no file events", folder=self.root.path, reason=str(error))

    def is_deaf(self) -> bool:
        """Whether a watcher that should run has died."""
        return self._watcher is not None and not self._watcher.alive

    def scan(self, start: str | None = None) -> ScanReport:
        """Reconcile the root, or a folder in it, with the library."""
        report = Reconciliation(
            self._library,
            self._state,
            self.root_id,
            self.root.path,
            self._exclusion,
            self._settle_s(),
            lambda path: self.settler.touch(path, time.monotonic()),
            self.is_reachable,
        ).run(start)
        if report.returned:
            # Their pending ratings went when they were missing.
            with self._library.writing() as session:
                ratings.enqueue_photos_to_rate(session, self._state.clock())
            self._state.wake()
        for problem in report.problems:
            log.warning("folder cannot be read", problem=problem)
        if start is None and report.is_complete:
            self.report = report
            with self._library.writing() as session:
                library_roots.scanned(session, self.root_id, self._state.clock())
            if self._watcher is not None:
                self.coverage = self._watcher.coverage()
                if not self.coverage.is_complete:
                    log.warning("not every folder is watched", folder=self.root.path, cure=self.coverage.cure)
        return report

    def is_reachable(self) -> bool:
        """Whether the root can be read, is on the device it was on, and is not suddenly empty."""
        photos_expected, _ = self._expected
        try:
            with os.scandir(self.root.path) as entries:
                holds_anything = next(entries, None) is not None
            return self._is_same_device() and (holds_anything or not photos_expected)
        except OSError:
            return False

    def _is_same_device(self) -> bool:
        return self._facts is None or Path(self.root.path).stat().st_dev == self._facts.device

    def _settle_s(self) -> float:
        """The clock of a file server may differ from ours by as much as a minute."""
        polled = self.health is not None and self.health.is_polled
        return max(self._settings.settle_s, SERVER_CLOCK_SLACK_S) if polled else self._settings.settle_s

    def scan_interval_s(self) -> float:
        """Seconds between scans: short where no events arrive, or where the root is away."""
        if self.health is not None and self.health.state is not RootState.HEALTHY:
            return min(AWAY_INTERVAL_S, self._settings.rescan_interval_s)
        hears_all = self._watcher is not None and (self.coverage is None or self.coverage.is_complete)
        if hears_all:
            return self._settings.rescan_interval_s
        return min(self._settings.poll_interval_s, self._settings.rescan_interval_s)

    def description(self) -> dict[str, Any]:
        """What `maclip status` says about this root."""
        health, coverage = self.health, self.coverage
        warnings = [self._watch_problem, coverage.cure if coverage else ""]
        warnings += self.report.problems[:5] if self.report else []
        return {
            "path": self.root.path,
            "state": str(health.state) if health else "new",
            "reason": health.reason if health else "",
            "file_system": health.file_system if health else "",
            "events": self._watcher is not None and self._watcher.alive,
            "folders": coverage.folders if coverage else None,
            "folders_watched": coverage.watched if coverage else None,
            "warnings": [warning for warning in warnings if warning],
        }

    def close(self) -> None:
        """Stop listening."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None

    def _remember(self, state: library_roots.RootState, health: RootHealth) -> None:
        """Write what changed since the last look; an idle daemon writes nothing."""
        if self._remembered == (state, health):
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
                present = photos.present_below(session, self.root.path)
            for start in range(0, len(present), MISSING_IN_ONE_TRANSACTION):
                with self._library.writing() as session:
                    part = present[start : start + MISSING_IN_ONE_TRANSACTION]
                    photos.mark_missing(session, part, self._state.clock())
        self._remembered = (state, health)

    def _known(self, session: Session) -> library_roots.KnownRoot:
        return {root.id: root for root in library_roots.known_roots(session)}[self.root_id]

    def _sample(self, session: Session) -> list[str]:
        sample: list[str] = []
        for folder in photos.folders_under(session, self.root.path):
            known = photos.known_in_folder(session, folder)
            sample += [os.path.join(folder, name) for name, file in known.items() if file.state != "missing"]
            if len(sample) >= SAMPLED_PHOTOS:
                break
        return sample[:SAMPLED_PHOTOS]
