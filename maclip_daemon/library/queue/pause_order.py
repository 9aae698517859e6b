"""A person's order to pause all work. It is kept in the library, so that it survives a restart."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from maclip_daemon.library.storage.notes import get_note, put_note

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

NOTE = "pause"
CLOCK_SLACK_S = 2.0  # between two looks at a clock; by more it was set


@dataclass(frozen=True)
class PauseOrder:
    """What `maclip pause` stored."""

    since: float
    """Unix seconds."""
    until: float | None
    """Unix seconds; None: until `maclip resume`."""

    def is_over(self, now: float) -> bool:
        """Return whether its time has passed."""
        return self.until is not None and self.until <= now

    def as_of(self, now: float) -> PauseOrder:
        """Return the order as it counts: one of the future, for the clock was set back since, begins now."""
        return self if self.since <= now + CLOCK_SLACK_S else self.moved(now - self.since)

    def moved(self, by_s: float) -> PauseOrder:
        """Return the order with its times moved: the clock was set by so many seconds."""
        return replace(self, since=self.since + by_s, until=None if self.until is None else self.until + by_s)


def store(session: Session, order: PauseOrder) -> None:
    """Store an order in place of an earlier one."""
    put_note(session, NOTE, _as_note(order), order.since)


def replace_order(session: Session, old: PauseOrder, new: PauseOrder) -> None:
    """Store an order in place of this one, unless a person gave another one meanwhile."""
    if get_note(session, NOTE) == _as_note(old):
        store(session, new)


def withdraw(session: Session) -> None:
    """Remove the order."""
    session.connection().exec_driver_sql("DELETE FROM notes WHERE key = ?", (NOTE,))


def read(snapshot: sqlite3.Connection) -> PauseOrder | None:
    """Return the order, if there is one; its time may be over."""
    row = snapshot.execute("SELECT value FROM notes WHERE key = ?", (NOTE,)).fetchone()
    return None if row is None else of_note(json.loads(row[0]))


def _as_note(order: PauseOrder) -> dict[str, float | None]:
    return {"since": order.since, "until": order.until}


def of_note(value: Any) -> PauseOrder | None:
    """Return the order that a note of the library holds."""
    return None if value is None else PauseOrder(value["since"], value["until"])
