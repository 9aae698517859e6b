"""Who watches a bulk run: its count once a second, signs of life, and in plain words what ended it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Protocol

from maclip_daemon import errors
from maclip_daemon.archive.cluster import Cluster
from maclip_daemon.archive.planning.work_plan import WorkPlan
from maclip_daemon.archive.ray_remarks import RayRemarks
from maclip_daemon.archive.run_lock import Beat
from maclip_daemon.archive.stages.run_tally import Counts
from maclip_daemon.errors import EnvironmentUnfit, MaclipError
from maclip_daemon.iqa.photo_score import ScoringConfig

_LOOK_S = 1.0  # seconds between two looks at the count


class Observer(Protocol):
    """Who watches a run."""

    def planned(self, plan: WorkPlan, config: ScoringConfig) -> None:
        """Learn what is left to do."""

    def started(self, cluster: Cluster) -> None:
        """Learn which machines do it."""

    def progressed(self, counts: Counts) -> None:
        """Learn how far it is, about once a second."""


class RunWatch:
    """Looks at the tally once a second, and gives signs of life. A context manager."""

    def __init__(self, tally: Any, observer: Observer, beat: Beat) -> None:
        self._tally = tally
        self._observer = observer
        self._beat = beat
        self.counts = Counts()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_looking, name="archive progress", daemon=True)

    def __enter__(self) -> RunWatch:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()

    def look(self) -> None:
        """Look once."""
        import ray

        with contextlib.suppress(ray.exceptions.RayError):  # it is being started again
            self.counts = ray.get(self._tally.counts.remote(), timeout=10)
        self._observer.progressed(self.counts)

    def _keep_looking(self) -> None:
        while not self._ended.wait(_LOOK_S):
            self.look()
            with contextlib.suppress(MaclipError):
                self._beat.now()


@contextlib.contextmanager
def raised_plainly(tally: Any, remarks: RayRemarks) -> Iterator[None]:
    """Raise what ended the run in a worker as this program's own error."""
    import ray

    try:
        yield
    except ray.exceptions.RayError as error:
        told = None
        with contextlib.suppress(ray.exceptions.RayError):
            told = ray.get(tally.reason.remote(), timeout=10)
        if told is not None:
            kind, reason = told
            raise getattr(errors, kind, EnvironmentUnfit)(reason) from None
        remarks.add(str(error))
        raise EnvironmentUnfit(
            f"The cluster could not go on with the work; what Ray said is in {remarks.path}. Run the command "
            "again: it goes on where it was."
        ) from error
