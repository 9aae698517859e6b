"""Waits that a person wants: the order of `maclip pause`, and quiet hours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from datetime import time as time_of_day

from maclip_daemon.library.queue.pause_order import PauseOrder
from maclip_daemon.pipeline.waits import PAUSE, QUIET_HOURS, TIMED_PAUSE, Wait

ORDERED = "You paused it. `maclip resume` goes on at once."


def of_order(order: PauseOrder | None, now: float) -> list[Wait]:
    """Return the wait that a person ordered; empty without an order, and when its time is over."""
    if order is None or (order := order.as_of(now)).is_over(now):
        return []
    resource = PAUSE if order.until is None else TIMED_PAUSE
    return [Wait.of(resource, ORDERED, since=order.since, until=order.until)]


def of_hours(quiet_hours: Sequence[str], now: float) -> list[Wait]:
    """Return the wait of the quiet hours; empty outside of them."""
    end = end_of(quiet_hours, datetime.fromtimestamp(now))
    if end is None:
        return []
    reason = f"These are your quiet hours: {', '.join(quiet_hours)} (background.quiet_hours)."
    return [Wait.of(QUIET_HOURS, reason, since=None, until=end.timestamp())]


def end_of(quiet_hours: Sequence[str], now: datetime) -> datetime | None:
    """Return when the quiet hours end that `now` (local time) lies in; None outside of them.

    `quiet_hours`: texts such as "22:00-07:00", which may cross midnight.
    """
    ends = [_end(each, now) for each in quiet_hours]
    return max((end for end in ends if end is not None), default=None)


def _end(hours: str, now: datetime) -> datetime | None:
    first, last = map(time_of_day.fromisoformat, hours.split("-"))
    ends_today = datetime.combine(now.date(), last)
    if first <= last:
        return ends_today if first <= now.time() < last else None
    if now.time() < last:
        return ends_today
    return ends_today + timedelta(days=1) if now.time() >= first else None
