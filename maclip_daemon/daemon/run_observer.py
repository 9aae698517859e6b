"""What looks on while the daemon works: a person's view, notifications, the status page."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Protocol

from maclip_daemon.daemon.work_spells import WorkSpell
from maclip_daemon.errors import MaclipError, Transient
from maclip_daemon.pipeline.run import Pipeline
from maclip_daemon.settings import Settings


class RunObserver:
    """Looks on, and changes nothing. The daemon's main thread calls it, so each method returns at once.

    Here all of them do nothing.
    """

    interval_s = math.inf
    """The longest time between two looks; the daemon looks every few seconds anyway."""

    def begin(self, settings: Settings) -> None:
        """Prepare, before the library is opened. Raise `EnvironmentUnfit` where that is impossible."""

    def update(self, pipeline: Pipeline) -> None:
        """Look at a run, every few seconds. After a reload it is another one."""

    def rest(self, spell: WorkSpell) -> None:
        """Learn that nothing is left to do for now, and what was done."""

    def pause(self, error: Transient) -> None:
        """Learn that nothing can be stored now, and so that no pipeline runs."""

    def finish(self, pipeline: Pipeline) -> None:
        """Learn that `maclip run --once` has done all its work."""

    def end(self, error: MaclipError | None) -> None:
        """Learn that the daemon ends; `error`: what ends it, unless it was asked to."""


class RunObservers(RunObserver):
    """Several that look on."""

    def __init__(self, observers: Sequence[RunObserver]) -> None:
        self._observers = observers
        self.interval_s = min((each.interval_s for each in observers), default=math.inf)

    def begin(self, settings: Settings) -> None:
        """Prepare all."""
        for each in self._observers:
            each.begin(settings)

    def update(self, pipeline: Pipeline) -> None:
        """Let all look."""
        for each in self._observers:
            each.update(pipeline)

    def rest(self, spell: WorkSpell) -> None:
        """Tell all."""
        for each in self._observers:
            each.rest(spell)

    def pause(self, error: Transient) -> None:
        """Tell all."""
        for each in self._observers:
            each.pause(error)

    def finish(self, pipeline: Pipeline) -> None:
        """Tell all."""
        for each in self._observers:
            each.finish(pipeline)

    def end(self, error: MaclipError | None) -> None:
        """Tell all."""
        for each in self._observers:
            each.end(error)


class RunView(Protocol):
    """What shows a running daemon to a person."""

    def update(self, pipeline: Pipeline) -> None:
        """Show the present state of a run."""

    def finished(self, spell: WorkSpell) -> None:
        """Tell what a spell of work did."""


class ViewObserver(RunObserver):
    """Keeps a person's view up to date."""

    interval_s = 0.5

    def __init__(self, view: RunView) -> None:
        self._view = view

    def update(self, pipeline: Pipeline) -> None:
        """Show the present state of a run."""
        self._view.update(pipeline)

    def rest(self, spell: WorkSpell) -> None:
        """Show what a spell of work did."""
        self._view.finished(spell)


@contextlib.contextmanager
def observing(observer: RunObserver, settings: Settings) -> Iterator[None]:
    """Let an observer begin, and tell it of the end."""
    ended_by: MaclipError | None = None
    try:
        observer.begin(settings)
        yield
    except MaclipError as error:
        ended_by = error
        raise
    finally:
        observer.end(ended_by)
