"""Quiet hours and ordered pauses: when they hold, and when they end."""

from __future__ import annotations

from datetime import datetime

import pytest

from maclip_daemon.library.queue.pause_order import PauseOrder
from maclip_daemon.pipeline import wanted_waits
from maclip_daemon.pipeline.waits import PAUSE, QUIET_HOURS, TIMED_PAUSE

NIGHT = ["22:00-07:00"]


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-06-{text}")


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("10 21:59", None),
        ("10 22:00", "11 07:00"),
        ("10 23:59:59", "11 07:00"),
        ("11 00:00", "11 07:00"),
        ("11 06:59:59", "11 07:00"),
        ("11 07:00", None),
    ],
)
def test_quiet_hours_cross_midnight_and_end_in_the_morning(now: str, end: str | None) -> None:
    assert wanted_waits.end_of(NIGHT, at(now)) == (None if end is None else at(end))


def test_of_several_quiet_hours_the_one_that_ends_last_counts() -> None:
    hours = ["09:00-12:00", "10:00-18:00", "20:00-21:00"]
    assert wanted_waits.end_of(hours, at("10 11:00")) == at("10 18:00")
    assert wanted_waits.end_of(hours, at("10 19:00")) is None
    assert wanted_waits.end_of([], at("10 11:00")) is None


def test_an_order_without_an_end_waits_for_its_person() -> None:
    (wait,) = wanted_waits.of_order(PauseOrder(1000.0, None), 5000.0)
    assert (wait.resource, wait.until, wait.ended_by, wait.is_pause) == (PAUSE, None, "person", True)


def test_an_order_with_an_end_is_over_then() -> None:
    order = PauseOrder(1000.0, 2000.0)
    (wait,) = wanted_waits.of_order(order, 1999.0)
    assert (wait.resource, wait.until, wait.ended_by) == (TIMED_PAUSE, 2000.0, "time")
    assert wanted_waits.of_order(order, 2000.0) == []


def test_the_wait_of_quiet_hours_names_the_setting() -> None:
    now = at("10 23:00").timestamp()
    (wait,) = wanted_waits.of_hours(NIGHT, now)
    assert (wait.resource, wait.until) == (QUIET_HOURS, at("11 07:00").timestamp())
    assert "22:00-07:00 (background.quiet_hours)" in wait.reason
