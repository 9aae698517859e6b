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
from maclip_daemon.pipeline import wanted_waits
from maclip_daemon.pipeline.pause_check import CHECK_S, PauseCheck
from maclip_daemon.pipeline.run_state import RunState
from maclip_daemon.pipeline.waits import PAUSE, QUIET_HOURS, TIMED_PAUSE, WANTED_PAUSES

NOON = datetime(2026, 6, 10, 12).timestamp()


class Run:
    """A run whose clocks the test moves."""

    def __init__(self, library: Library, quiet_hours: tuple[str, ...] = ()) -> None:
        self.library = library
        self.now = NOON
        self.set_by_s = 0.0
        self.state = RunState(clock=lambda: self.now + self.set_by_s)
        self.check = PauseCheck(library, self.state, quiet_hours, monotonic=lambda: self.now)

    def order(self, until: float | None) -> None:
        with self.library.writing() as session:
            pause_order.store(session, PauseOrder(self.state.clock(), until))

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


@pytest.mark.parametrize("set_by_s", [-4 * 365 * 86_400.0, 8 * 365 * 86_400.0, -7200.0])
def test_a_pause_lasts_as_long_as_was_asked_though_the_clock_is_set(
    library: Library, set_by_s: float
) -> None:
    run = Run(library)
    run.order(NOON + 7200)
    assert run.waits_after() == [str(TIMED_PAUSE)]
    run.set_by_s = set_by_s
    assert run.waits_after(7000.0) == [str(TIMED_PAUSE)]
    with library.snapshot() as snapshot:
        assert pause_order.read(snapshot) == PauseOrder(NOON + set_by_s, NOON + 7200 + set_by_s)
    assert run.waits_after(250.0) == []


def test_a_pause_of_a_clock_that_was_ahead_begins_with_the_daemon(library: Library) -> None:
    ahead = Run(library)
    ahead.set_by_s = 86_400.0
    ahead.order(NOON + 86_400.0 + 3600)
    run = Run(library)
    assert run.waits_after() == [str(TIMED_PAUSE)]
    (wait,) = wanted_waits.of_order(PauseOrder(NOON + 86_400.0, NOON + 90_000.0), NOON)
    assert wait.until == NOON + 3600, "status says so without a daemon, too"
    assert run.waits_after(3500.0) == [str(TIMED_PAUSE)]
    assert run.waits_after(102.0) == []


def test_a_person_s_new_order_is_not_replaced_by_an_old_one_whose_times_are_moved(library: Library) -> None:
    old, new = PauseOrder(NOON, NOON + 60), PauseOrder(NOON + 1, None)
    with library.writing() as session:
        pause_order.store(session, new)
        pause_order.replace_order(session, old, old.moved(3600.0))
    with library.snapshot() as snapshot:
        assert pause_order.read(snapshot) == new
