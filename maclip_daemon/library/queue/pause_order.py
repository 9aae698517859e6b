"""A person's order to pause all work. It is kept in the library, so that it survives a restart."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maclip_daemon.library.queries.status import put_note

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

NOTE = "pause"


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


def store(session: Session, order: PauseOrder) -> None:
    """Store an order in place of an earlier one."""
    put_note(session, NOTE, {"since": order.since, "until": order.until}, order.since)


def withdraw(session: Session) -> None:
    """Remove the order."""
    session.connection().exec_driver_sql("DELETE FROM notes WHERE key = ?", (NOTE,))


def read(snapshot: sqlite3.Connection) -> PauseOrder | None:
    """Return the order, if there is one; its time may be over."""
    row = snapshot.execute("SELECT value FROM notes WHERE key = ?", (NOTE,)).fetchone()
    return None if row is None else of_note(json.loads(row[0]))


def of_note(value: Any) -> PauseOrder | None:
    """Return the order that a note of the library holds."""
    return None if value is None else PauseOrder(value["since"], value["until"])
