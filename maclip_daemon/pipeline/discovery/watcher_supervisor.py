"""The watcher of one root: started, replaced when it dies, and its warnings."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from maclip_daemon.errors import EnvironmentUnfit
from maclip_daemon.folders.events import Coverage, EventKind, FolderEvent
from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.folders.root_health import Root
from maclip_daemon.folders.watch_limit import lost_events_hint
from maclip_daemon.folders.watcher import Watcher, watch
from maclip_daemon.metadata.sidecars.sidecar_names import is_sidecar
from maclip_daemon.photos.formats import is_photo
from maclip_daemon.pipeline.run_state import log

RESTART_S = 5.0  # before another watcher is started; doubled each time while they keep dying
MAX_DOUBLINGS = 10
WARNING_S = 24 * 3600.0  # how long `maclip status` reports what was repaired


class WatcherSupervisor:
    """The watcher of one root. Owned by the discovery thread; its callback runs in the watcher's."""

    def __init__(
        self, root: Root, exclusion: Exclusion, max_pause_s: float, clock: Callable[[], float]
    ) -> None:
        """Start another watcher at most `max_pause_s` after one died."""
        self.coverage: Coverage | None = None
        self._root = root
        self._exclusion = exclusion
        self._max_pause_s = max_pause_s
        self._clock = clock
        self._watcher: Watcher | None = None
        self._problem = ""
        self._began = 0.0
        self._short_lives = 0
        self._died: float | None = None
        self._restarted: float | None = None
        self._overflowed: float | None = None

    @property
    def is_alive(self) -> bool:
        """Return whether a watcher runs."""
        return self._watcher is not None and self._watcher.alive

    @property
    def has_died(self) -> bool:
        """Return whether a watcher that should run has died, or lost its root."""
        return self._watcher is not None and not self._watcher.alive

    @property
    def covers_all(self) -> bool:
        """Return whether every folder is watched, as far as is known."""
        return self._watcher is not None and (self.coverage is None or self.coverage.is_complete)

    def start(self, on_event: Callable[[FolderEvent], None]) -> bool:
        """Start the watcher where none runs yet; return whether it was started."""
        if self.is_alive:
            return False
        self.close()

        def forward(event: FolderEvent) -> None:
            if event.kind is EventKind.OVERFLOW:
                self._overflowed = self._clock()
            on_event(event)

        try:
            self._watcher = watch(self._root, self._exclusion, _is_relevant, forward)
        except EnvironmentUnfit as error:
            # Scans go on; `maclip status` prints the problem and its cure.
            self._problem = str(error)
            log.warning("no file events", folder=self._root.path, reason=self._problem)
            return False
        self._problem, self._began = "", time.monotonic()
        if self._died is not None:
            self._restarted, self._died = self._died, None
        return True

    def close_dead(self) -> float:
        """Close a watcher that died; return the seconds until another may start.

        One that keeps dying must not load the processor: each start comes with a scan of the root.
        """
        lived_s = time.monotonic() - self._began
        self._short_lives = self._short_lives + 1 if lived_s < self._max_pause_s else 0
        self._died = self._clock()
        self.close()
        doublings = min(max(self._short_lives - 1, 0), MAX_DOUBLINGS)
        return min(RESTART_S * 2.0**doublings, self._max_pause_s)

    def update_coverage(self) -> None:
        """Watch folders that are not watched yet, and store the coverage. Called after a scan."""
        if self._watcher is None:
            return
        before, self.coverage = self.coverage, self._watcher.coverage()
        if not self.coverage.is_complete and (before is None or before.is_complete):
            log.warning("not every folder is watched", folder=self._root.path, cure=self.coverage.cure)

    def pause(self) -> None:
        """Close the watcher because the root is offline; it did not die."""
        self._died, self.coverage = None, None
        self.close()

    def close(self) -> None:
        """Close the watcher."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None

    def warnings(self) -> list[str]:
        """Return the warnings for `maclip status` about events, each with its cure."""
        found = [self._problem, self.coverage.cure if self.coverage else ""]
        if self._is_recent(self._overflowed):
            found.append(f"{_moment(self._overflowed)}: {lost_events_hint()}")
        if self._is_recent(self._restarted):
            found.append(
                f"{_moment(self._restarted)}: the watcher of this folder died. Another one was started and "
                "the folder was scanned, so nothing was missed. If it happens again, the log says why."
            )
        return [warning for warning in found if warning]

    def _is_recent(self, moment: float | None) -> bool:
        return moment is not None and abs(self._clock() - moment) < WARNING_S


def _is_relevant(name: str) -> bool:
    """Return whether a file is a photo or a sidecar."""
    return is_photo(name) or is_sidecar(name)


def _moment(moment: float | None) -> str:
    return datetime.fromtimestamp(moment or 0.0).astimezone().strftime("%Y-%m-%d %H:%M")
