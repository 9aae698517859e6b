"""Listening to one root: its watcher, how much that hears, and what went wrong with it."""

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
from maclip_daemon.metadata.sidecars.targets import is_sidecar
from maclip_daemon.photos.formats import is_photo
from maclip_daemon.pipeline.run_state import log

RESTART_S = 5.0  # before another watcher is started; doubled each time while they keep dying
MOST_DOUBLINGS = 10
SAID_S = 24 * 3600.0  # how long `maclip status` tells of something that was mended by itself


class WatcherSupervisor:
    """The watcher of one root. Owned by the intake thread; only its callback runs in the watcher's."""

    def __init__(
        self, root: Root, exclusion: Exclusion, longest_pause_s: float, clock: Callable[[], float]
    ) -> None:
        """`longest_pause_s`: at most so long until another watcher is started after one died."""
        self.coverage: Coverage | None = None
        self._root = root
        self._exclusion = exclusion
        self._longest_pause_s = longest_pause_s
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
        """Whether a watcher runs."""
        return self._watcher is not None and self._watcher.alive

    @property
    def has_died(self) -> bool:
        """Whether a watcher that should run has died, or lost its root."""
        return self._watcher is not None and not self._watcher.alive

    @property
    def covers_all(self) -> bool:
        """Whether every folder is watched, as far as is known."""
        return self._watcher is not None and (self.coverage is None or self.coverage.is_complete)

    def start(self, on_event: Callable[[FolderEvent], None]) -> bool:
        """Start the watcher where none runs yet; whether it was started now."""
        if self.is_alive:
            return False
        self.close()

        def told(event: FolderEvent) -> None:
            if event.kind is EventKind.OVERFLOW:
                self._overflowed = self._clock()
            on_event(event)

        try:
            self._watcher = watch(self._root, self._exclusion, _is_of_interest, told)
        except EnvironmentUnfit as error:
            # Scans go on; `maclip status` says what is wrong and what to do.
            self._problem = str(error)
            log.warning("no file events", folder=self._root.path, reason=self._problem)
            return False
        self._problem, self._began = "", time.monotonic()
        if self._died is not None:
            self._restarted, self._died = self._died, None
        return True

    def close_dead(self) -> float:
        """Close a watcher that died; the seconds until another may be started.

        One that keeps dying must not cost the processor: each start goes with a scan of the whole root.
        """
        lived_s = time.monotonic() - self._began
        self._short_lives = self._short_lives + 1 if lived_s < self._longest_pause_s else 0
        self._died = self._clock()
        self.close()
        doublings = min(max(self._short_lives - 1, 0), MOST_DOUBLINGS)
        return min(RESTART_S * 2.0**doublings, self._longest_pause_s)

    def take_stock(self) -> None:
        """After a scan: watch what is not watched yet, and remember how much is."""
        if self._watcher is None:
            return
        before, self.coverage = self.coverage, self._watcher.coverage()
        if not self.coverage.is_complete and (before is None or before.is_complete):
            log.warning("not every folder is watched", folder=self._root.path, cure=self.coverage.cure)

    def pause(self) -> None:
        """Stop because the root is away: that is no fault of the watcher."""
        self._died, self.coverage = None, None
        self.close()

    def close(self) -> None:
        """Stop listening."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None

    def warnings(self) -> list[str]:
        """What `maclip status` says about the events of this root, each with what to do."""
        said = [self._problem, self.coverage.cure if self.coverage else ""]
        if self._is_news(self._overflowed):
            said.append(f"{_moment(self._overflowed)}: {lost_events_hint()}")
        if self._is_news(self._restarted):
            said.append(
                f"{_moment(self._restarted)}: the watcher of this folder died. Another one was started and "
                "the folder was scanned, so nothing was missed. If it happens again, the log says why."
            )
        return [warning for warning in said if warning]

    def _is_news(self, moment: float | None) -> bool:
        return moment is not None and abs(self._clock() - moment) < SAID_S


def _is_of_interest(name: str) -> bool:
    """Photos, and the sidecars in which persons rate them."""
    return is_photo(name) or is_sidecar(name)


def _moment(moment: float | None) -> str:
    return datetime.fromtimestamp(moment or 0.0).astimezone().strftime("%Y-%m-%d %H:%M")
