"""Notes: what the daemon wants `maclip status` to say, by key, as JSON."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from maclip_daemon.library.storage import timestamps
from maclip_daemon.library.storage.tables import NOTES


def put(session: Session, key: str, value: Any, now: float) -> None:
    """Write or replace a note; `value` is anything JSON can hold."""
    note = insert(NOTES).values(key=key, value=value, changed_at=timestamps.text(now))
    session.execute(
        note.on_conflict_do_update(
            index_elements=["key"],
            set_={"value": note.excluded.value, "changed_at": note.excluded.changed_at},
        )
    )
