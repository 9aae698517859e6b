"""A run follows what a person wants: `maclip pause`, `maclip resume`, quiet hours."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from maclip_daemon.library.queue import pause_order
from maclip_daemon.library.queue.pause_order import PauseOrder
from maclip_daemon.library.storage.database import Library
from maclip_daemon.pipeline.pause_check import CHECK_S, PauseCheck
from maclip_daemon.pipeline.run_state import RunState
from maclip_daemon.pipeline.waits import PAUSE, QUIET_HOURS, TIMED_PAUSE, WANTED_PAUSES

NOON = datetime(2026, 6, 10, 12).timestamp()


class Run:
    """A run whose clocks the test moves."""

    def __init__(self, library: Library, quiet_hours: tuple[str, ...] = ()) -> None:
        self.library = library
        self.now = NOON
        self.state = RunState(clock=lambda: self.now)
        self.check = PauseCheck(library, self.state, quiet_hours, monotonic=lambda: self.now)

    def order(self, until: float | None) -> None:
        with self.library.writing() as session:
            pause_order.store(session, PauseOrder(self.now, until))

    def withdraw(self) -> None:
        with self.library.writing() as session:
            pause_order.withdraw(session)

    def waits_after(self, seconds: float = CHECK_S) -> list[str]:
        self.now += seconds
        self.check.check()
        return [str(wait.resource) for wait in self.state.waits.list()]


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with contextlib.closing(Library.open(tmp_path / "library.db")) as library:
        yield library


def test_a_pause_holds_until_it_is_withdrawn(library: Library) -> None:
    run = Run(library)
    assert run.waits_after() == []
    run.order(None)
    assert run.waits_after() == [str(PAUSE)]
    assert run.state.waits.is_waiting(*WANTED_PAUSES)
    assert run.waits_after(86_400.0) == [str(PAUSE)]
    run.withdraw()
    assert run.waits_after() == []
    assert not run.state.waits.is_waiting(*WANTED_PAUSES)


def test_a_pause_ends_by_itself_and_a_new_one_replaces_it(library: Library) -> None:
    run = Run(library)
    run.order(NOON + 3600)
    assert run.waits_after() == [str(TIMED_PAUSE)]
    run.order(None)
    assert run.waits_after() == [str(PAUSE)]
    run.order(run.now + 60)
    assert run.waits_after() == [str(TIMED_PAUSE)]
    assert run.waits_after(61.0) == []


def test_the_next_run_of_the_daemon_is_paused_from_its_start(library: Library) -> None:
    Run(library).order(None)
    assert Run(library).waits_after(0.0) == [str(PAUSE)]


def test_quiet_hours_begin_and_end_at_their_times(library: Library) -> None:
    run = Run(library, ("13:00-14:00",))
    assert run.waits_after() == []
    assert run.waits_after(3600.0) == [str(QUIET_HOURS)]
    assert run.waits_after(3600.0) == []


def test_threads_that_sleep_are_woken_when_the_pause_ends(library: Library) -> None:
    run = Run(library)
    woken: list[float] = []
    run.state.wake = lambda: woken.append(run.now)  # type: ignore[method-assign]
    run.order(None)
    run.waits_after()
    assert woken == []
    run.withdraw()
    run.waits_after()
    run.waits_after()
    assert len(woken) == 1


def test_the_order_is_read_while_another_program_writes(library: Library) -> None:
    run = Run(library)
    run.order(None)
    with contextlib.closing(sqlite3.connect(library.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert run.waits_after() == [str(PAUSE)]
