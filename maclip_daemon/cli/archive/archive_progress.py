"""How far a bulk run is: a bar on a terminal, a line a minute elsewhere, on standard error."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

from maclip_daemon.cli.printing import output

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from maclip_daemon.archive.cluster import Cluster
    from maclip_daemon.archive.planning.work_plan import WorkPlan
    from maclip_daemon.archive.run_watch import Observer
    from maclip_daemon.archive.stages.run_tally import Counts
    from maclip_daemon.iqa.photo_score import ScoringConfig

_LINE_S = 60.0  # seconds between two lines, where no terminal is


class Observers:
    """Tells several observers of a run."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def planned(self, plan: WorkPlan, config: ScoringConfig) -> None:
        """Tell what is left to do."""
        for each in self._observers:
            each.planned(plan, config)

    def started(self, cluster: Cluster) -> None:
        """Tell which machines do it."""
        for each in self._observers:
            each.started(cluster)

    def progressed(self, counts: Counts) -> None:
        """Tell how far it is."""
        for each in self._observers:
            each.progressed(counts)


class ArchiveProgress:
    """Prints how far a run is. A context manager."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._left = 0
        self._began = self._told = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def planned(self, plan: WorkPlan, config: ScoringConfig) -> None:
        """Print what is left to do."""
        self._left = plan.left
        before = f", {plan.done} are done" if plan.done else ""
        next_step = f"; scoring with {config.model}. Ray starts …" if plan.left else ""
        output.say(f"{output.count(plan.listed, 'photo')}{before}{next_step}", error=True)

    def started(self, cluster: Cluster) -> None:
        """Print which machines do it, and where they can be watched."""
        self._began = self._told = time.monotonic()
        models = output.count(cluster.models, "model")
        output.say(
            f"{output.count(cluster.cores, 'core')}, {models}, {cluster.decoders} decoders", error=True
        )
        if cluster.dashboard:
            output.say(f"Ray's dashboard: {cluster.dashboard}", error=True)
        if sys.stderr.isatty():
            self._show_bar()

    def progressed(self, counts: Counts) -> None:
        """Move the bar, or print a line now and then."""
        now = time.monotonic()
        rate = counts.done / max(now - self._began, 1e-9)
        said = f"{rate:.1f}/s, {counts.failed} failed"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=min(counts.done, self._left), description=said)
        elif now - self._told >= _LINE_S:
            self._told = now
            output.say(f"{counts.done} of {self._left} photos, {said}", error=True)

    def _show_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        # What is printed on standard output meanwhile is Ray's, and kept back.
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
        self._bar.start()
        self._task = self._bar.add_task("0.0/s", total=self._left)
