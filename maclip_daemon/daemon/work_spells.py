"""Spells of work: from the first photo that is scored or rated until nothing waits any more.

A spell is what a person calls an import. The log has a line while one lasts and a line when it ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields

import structlog

from maclip_daemon.errors import MaclipError
from maclip_daemon.pipeline.run import Pipeline
from maclip_daemon.pipeline.run_state import Tally

PROGRESS_S = 60.0  # between two lines of the log
QUIET_S = 30.0  # a spell ends then although jobs wait, because these wait for something else

log = structlog.get_logger("maclip")


@dataclass(frozen=True)
class WorkSpell:
    """What was done in one spell of work."""

    scored: int = 0
    rated: int = 0
    kept: int = 0
    """Photos that a person rated."""
    skipped: int = 0
    """Photos whose stars could not be written."""
    failed: int = 0

    @classmethod
    def of(cls, tally: Tally) -> WorkSpell:
        """Return what a run has done since its start."""
        return cls(tally.scored, tally.rated, tally.kept, tally.skipped, len(tally.failed))

    def since(self, before: WorkSpell) -> WorkSpell:
        """Return what was done since an earlier moment of the same run."""
        return WorkSpell(**{each: getattr(self, each) - getattr(before, each) for each in _NAMES})

    def counts(self) -> dict[str, int]:
        """Return the counts that are not zero, by name."""
        return {each: getattr(self, each) for each in _NAMES if getattr(self, each)}


_NAMES = [field.name for field in fields(WorkSpell)]


class WorkSpells:
    """Watches one run of the pipeline for spells of work."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._run: object = None
        self._last = self._before = WorkSpell()
        self._began_at: float | None = None
        self._changed_at = self._told_at = 0.0

    def update(self, pipeline: Pipeline) -> WorkSpell | None:
        """Look at a run, every few seconds; return the spell of work that has just ended, if one has."""
        if pipeline is not self._run:  # its successor counts anew
            self._run, self._last, self._began_at = pipeline, WorkSpell(), None
        now, done = self._clock(), WorkSpell.of(pipeline.state.tally)
        if done != self._last:
            if self._began_at is None:
                self._began_at = self._told_at = now
                self._before = self._last
            self._last, self._changed_at = done, now
            if now - self._told_at >= PROGRESS_S:
                self._told_at = now
                log.info("at work", **done.since(self._before).counts(), waiting=_waiting(pipeline))
            return None
        if self._began_at is None:
            return None
        if _waiting(pipeline) and now - self._changed_at < QUIET_S:
            return None
        spell = done.since(self._before)
        log.info("done, waiting for photos", **spell.counts(), seconds=round(now - self._began_at))
        self._began_at = None
        return spell


def _waiting(pipeline: Pipeline) -> int | None:
    """Return how many jobs are left; None while the library cannot tell, which whoever writes reports."""
    try:
        return sum(pipeline.waiting().values())
    except MaclipError:
        return None
