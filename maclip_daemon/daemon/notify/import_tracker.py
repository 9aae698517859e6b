"""Tell when an import is finished: photos were scored or rated, and then nothing was for a while."""

from __future__ import annotations

import time
from collections.abc import Callable

from maclip_daemon.errors import Transient
from maclip_daemon.library.queries import finished_imports
from maclip_daemon.library.queries.finished_imports import ImportSummary
from maclip_daemon.pipeline.run import BRIEF_TIMEOUT_S, Pipeline
from maclip_daemon.pipeline.run_state import Tally

LOOK_AGAIN_S = 30.0  # while jobs wait for something else: a disk that is away, the next try
_Counts = tuple[int, ...]
_NOTHING: _Counts = (0, 0, 0, 0)


class ImportTracker:
    """The import of one daemon, across its runs and restarts. Owned by one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._run: Pipeline | None = None
        self._counts = _NOTHING
        self._began: float | None = None
        self._looked_at = 0.0
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
        self.update(pipeline, 0.0)
        return None if self._began is None else self._end(pipeline, self._began)

    def _update(self, pipeline: Pipeline, quiet_s: float) -> ImportSummary | None:
        now, wall = self._clock(), pipeline.state.clock()
        if pipeline is not self._run:
            with pipeline.library.snapshot() as snapshot:
                self._began = self._began or finished_imports.stored_begin(snapshot)
            self._run, self._counts, self._looked_at = pipeline, _NOTHING, pipeline.state.began_at
            self._next_look = now + quiet_s
        counts = _counts(pipeline.state.tally)
        if counts != self._counts:
            self._counts, self._next_look = counts, now + quiet_s
            self._begin(pipeline)
        elif self._began is not None and now >= self._next_look:
            if not any(pipeline.waiting().values()):
                return self._end(pipeline, self._began)
            self._next_look = now + LOOK_AGAIN_S
        self._looked_at = wall
        return None

    def _begin(self, pipeline: Pipeline) -> None:
        if self._began is None:
            self._began = self._looked_at  # nothing had been scored then
            with pipeline.library.writing(BRIEF_TIMEOUT_S) as session:
                finished_imports.store_begin(session, self._began)

    def _end(self, pipeline: Pipeline, began: float) -> ImportSummary:
        with pipeline.library.snapshot() as snapshot:
            found = finished_imports.summary(snapshot, began)
        with pipeline.library.writing(BRIEF_TIMEOUT_S) as session:
            finished_imports.forget_begin(session)
        self._began = None
        return found


def _counts(tally: Tally) -> _Counts:
    return tally.scored, tally.rated, tally.kept + tally.skipped, len(tally.failed)
