"""Tell when an import is finished: photos were scored or rated, and then nothing was for a while."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from maclip_daemon.errors import Transient
from maclip_daemon.library.queries import finished_imports
from maclip_daemon.library.queries.finished_imports import ImportSummary
from maclip_daemon.library.storage.database import BRIEF_TIMEOUT_S
from maclip_daemon.pipeline.run import Pipeline
from maclip_daemon.pipeline.run_state import Tally
from maclip_daemon.processes import boot_clock

CLOCK_SLACK_S = 2.0  # NTP nudges a clock by less; by more it was set
GAP_S = 3600.0
LOOK_AGAIN_S = 30.0  # while jobs wait for something else: a disk that is away, the next try
_Counts = tuple[int, ...]
_NOTHING: _Counts = (0, 0, 0, 0)


class ImportTracker:
    """The import of one daemon, across its runs and restarts. Owned by one thread."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        since_boot_s: Callable[[], float] = boot_clock.since_boot_s,
    ) -> None:
        self._clock = clock
        self._since_boot_s = since_boot_s
        self._run: Pipeline | None = None
        self._counts = _NOTHING
        self._began: float | None = None
        """Unix seconds by the clock as it is set now; before it nothing of the import was scored."""
        self._looked_at = 0.0
        """Seconds since the machine was booted."""
        self._ahead_s = 0.0
        """By how much Unix seconds are more."""
        self._next_look = 0.0

    @property
    def is_under_way(self) -> bool:
        """Whether an import has begun, and its end was not told."""
        return self._began is not None

    def update(self, pipeline: Pipeline, quiet_s: float) -> ImportSummary | None:
        """Look at a run; return what became of the photos once no work was done for `quiet_s`."""
        try:
            return self._update(pipeline, quiet_s)
        except Transient:
            return None  # another program locks the library; the next look will do

    def finish(self, pipeline: Pipeline) -> ImportSummary | None:
        """Return what became of the photos of a run that has done all its work."""
        found = self.update(pipeline, 0.0)
        if found is not None or self._began is None:
            return found
        with pipeline.library.snapshot() as snapshot:
            found = finished_imports.summary(snapshot, self._began)
        with contextlib.suppress(Transient):  # the work is done, and that is what counts
            self._forget(pipeline)
        return found

    def _update(self, pipeline: Pipeline, quiet_s: float) -> ImportSummary | None:
        now, since_boot_s, wall = self._clock(), self._since_boot_s(), pipeline.state.clock()
        if pipeline is not self._run:
            self._begin_run(pipeline, since_boot_s, wall)
            self._next_look = now + quiet_s
        self._follow_clock(pipeline, wall - since_boot_s)
        counts = _counts(pipeline.state.tally)
        if counts != self._counts:
            if self._began is None:
                self._begin(pipeline, wall - (since_boot_s - self._looked_at))  # nothing was scored then
            self._counts, self._next_look = counts, now + quiet_s
        elif self._began is not None and now >= self._next_look:
            if not any(pipeline.waiting().values()):
                return self._end(pipeline, self._began)
            self._next_look = now + LOOK_AGAIN_S
        self._looked_at = since_boot_s
        return None

    def _begin_run(self, pipeline: Pipeline, since_boot_s: float, wall: float) -> None:
        with pipeline.library.snapshot() as snapshot:
            self._began = self._began or finished_imports.stored_begin(snapshot)
        self._run, self._counts = pipeline, _NOTHING
        self._looked_at, self._ahead_s = pipeline.state.began_since_boot_s, wall - since_boot_s

    def _follow_clock(self, pipeline: Pipeline, ahead_s: float) -> None:
        """Move the beginning with a clock that was set: else all photos of years might count, or none."""
        set_by_s = ahead_s - self._ahead_s
        # Forward by a little: nothing has a time in the gap, and the first photos count.
        if self._began is not None and not -CLOCK_SLACK_S <= set_by_s <= GAP_S:
            self._begin(pipeline, self._began + set_by_s)
        self._ahead_s = ahead_s

    def _begin(self, pipeline: Pipeline, at: float) -> None:
        with pipeline.library.writing(BRIEF_TIMEOUT_S) as session:
            finished_imports.store_begin(session, at)
        self._began = at

    def _end(self, pipeline: Pipeline, began: float) -> ImportSummary:
        with pipeline.library.snapshot() as snapshot:
            found = finished_imports.summary(snapshot, began)
        self._forget(pipeline)
        return found

    def _forget(self, pipeline: Pipeline) -> None:
        with pipeline.library.writing(BRIEF_TIMEOUT_S) as session:
            finished_imports.forget_begin(session)
        self._began = None


def _counts(tally: Tally) -> _Counts:
    return tally.scored, tally.rated, tally.kept + tally.skipped, len(tally.failed)
