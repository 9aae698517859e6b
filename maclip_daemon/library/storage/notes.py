"""Notes of the daemon and of commands: small values of the library that survive a restart, by name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from maclip_daemon.library.storage import timestamps

if TYPE_CHECKING:
    from sqlalchemy.orm import Session  # `maclip status` does without SQLAlchemy


def get_note(session: Session, key: str) -> Any:
    """Return a note; None when there is none."""
    row = session.connection().exec_driver_sql("SELECT value FROM notes WHERE key = ?", (key,)).first()
    return None if row is None else json.loads(row[0])


def put_note(session: Session, key: str, value: Any, now: float) -> None:
    """Write or replace a note: anything that JSON can hold but a bare number, which SQLite stores as one."""
    session.connection().exec_driver_sql(
        "INSERT INTO notes (key, value, changed_at) VALUES (?, ?, ?) ON CONFLICT (key)"
        " DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at",
        (key, json.dumps(value), timestamps.text(now)),
    )
