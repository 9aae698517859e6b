"""How long the stages take for one photo, as a histogram of each."""

from __future__ import annotations

import bisect
import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Stage = Literal["decode", "score", "rate"]
STAGES: tuple[Stage, ...] = ("decode", "score", "rate")
BOUNDS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass
class StageTime:
    """The photos of one stage."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    """How many took at most each of `BOUNDS_S` and more than the one before; the last: longer."""
    total_s: float = 0.0


class StageTimes:
    """The times of one run. Thread-safe."""

    def __init__(self) -> None:
        self._times = {stage: StageTime() for stage in STAGES}
        self._lock = threading.Lock()

    def add(self, stage: Stage, seconds: float, photos: int = 1) -> None:
        """Record that `photos` took `seconds` together; each counts with its share."""
        if photos < 1:
            return
        with self._lock:
            known = self._times[stage]
            known.counts[bisect.bisect_left(BOUNDS_S, seconds / photos)] += photos
            known.total_s += seconds

    @contextlib.contextmanager
    def measured(self, stage: Stage, photos: int = 1) -> Iterator[None]:
        """Record how long the block takes for so many photos, unless an error ends it."""
        began = time.monotonic()
        yield
        self.add(stage, time.monotonic() - began, photos)

    def all(self) -> dict[Stage, StageTime]:
        """Return a copy of all times."""
        with self._lock:
            return {stage: StageTime(list(each.counts), each.total_s) for stage, each in self._times.items()}
