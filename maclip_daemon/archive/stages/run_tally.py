"""The count of a bulk run, kept by one small actor: what is done, and what a dead worker had begun."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from maclip_daemon.errors import MaclipError

_DEATHS = 2  # of a worker over the same photo; one alone may be the machine's fault


@dataclass(frozen=True)
class Counts:
    """How far a run is."""

    scored: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    """Kind of failure → photos."""
    restarts: int = 0
    """Workers that ended during their work and were started again."""

    @property
    def failed(self) -> int:
        """Photos that failed."""
        return sum(self.failures.values())

    @property
    def done(self) -> int:
        """Photos that were judged or failed."""
        return self.scored + self.failed


@dataclass(frozen=True)
class ChunkStart:
    """What is known of a chunk that a worker begins."""

    deadly: list[int]
    """Photos over which its workers keep dying."""
    is_repeated: bool
    """A worker before did not end it: this one waits until the tally knows each photo that it begins."""


class RunTally:
    """Counts photos, and remembers at which one a worker died. Ray runs one."""

    def __init__(self) -> None:
        self._scored = 0
        self._failures: Counter[str] = Counter()
        self._restarts = 0
        self._reason: tuple[str, str] | None = None
        self._at_work: dict[str, int] = {}  # chunk: index of the photo that is read now
        self._deaths: dict[str, Counter[int]] = {}

    def begin(self, chunk: str) -> ChunkStart:
        """Begin a chunk, perhaps again; return what its workers before have met."""
        deaths = self._deaths.get(chunk)
        is_repeated = deaths is not None
        if deaths is None:
            deaths = self._deaths[chunk] = Counter()
        self._restarts += is_repeated
        last = self._at_work.pop(chunk, None)
        if last is not None:
            deaths[last] += 1
        return ChunkStart([index for index, number in deaths.items() if number >= _DEATHS], is_repeated)

    def working(self, chunk: str, index: int) -> None:
        """Note which photo of a chunk is read now."""
        self._at_work[chunk] = index

    def resting(self, chunk: str) -> None:
        """Note that no photo of a chunk is read now."""
        self._at_work.pop(chunk, None)

    def end(self, chunk: str) -> None:
        """Forget a chunk whose photos all were read."""
        self._at_work.pop(chunk, None)
        self._deaths.pop(chunk, None)

    def add(self, scored: int, failures: list[str]) -> None:
        """Count photos."""
        self._scored += scored
        self._failures.update(failures)

    def stop(self, kind: str, reason: str) -> None:
        """Note why a worker ends the run; the first reason counts."""
        self._reason = self._reason or (kind, reason)

    def reason(self) -> tuple[str, str] | None:
        """Return the class and the text of the error that ended the run."""
        return self._reason

    def counts(self) -> Counts:
        """Return the count as it is now."""
        return Counts(self._scored, dict(self._failures), self._restarts)


@contextmanager
def told(tally: Any) -> Iterator[None]:
    """Tell the tally which error of this program ends the run: Ray passes on no more than a traceback."""
    import ray

    try:
        yield
    except MaclipError as error:
        ray.get(tally.stop.remote(type(error).__name__, str(error)))
        raise


def start_tally() -> Any:
    """Start the actor on this machine's own node; return its handle."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    return ray.remote(RunTally).options(num_cpus=0, max_restarts=-1, scheduling_strategy=here).remote()
