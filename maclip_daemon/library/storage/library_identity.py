"""The id of a library: 8 hex digits in every file that it rates, so that two libraries notice each other.

It is drawn once, when the library is made; one older than ids gets its own by a migration. A backup and its
restored copy keep it; `db restore --new` draws another and remembers the one before.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from maclip_daemon.library.storage import timestamps
from maclip_daemon.library.storage.tables import NOTES

KEY = "library"  # of the note


@dataclass(frozen=True)
class LibraryIds:
    """The id of a library, and those of the libraries that it replaced."""

    own: str
    former: frozenset[str] = frozenset()

    def is_other(self, library_id: str | None) -> bool:
        """Return whether this is the id of another library, which may be in use beside this one."""
        return library_id is not None and library_id != self.own and library_id not in self.former


def new_note() -> tuple[str, str, str]:
    """Return the note of a new library: key, value and moment."""
    ids = {"id": secrets.token_hex(4), "former": []}
    return KEY, json.dumps(ids), timestamps.text(time.time())


def library_ids(session: Session) -> LibraryIds:
    """Return the id of this library, and those of its predecessors."""
    note = session.execute(select(NOTES.c.value).where(NOTES.c.key == KEY)).scalar_one()
    return LibraryIds(note["id"], frozenset(note["former"]))


def read_ids(connection: sqlite3.Connection) -> LibraryIds | None:
    """Return the ids of a library of any version; None: it is older than ids, or its note is damaged."""
    try:
        row = connection.execute("SELECT value FROM notes WHERE key = ?", (KEY,)).fetchone()
        note = None if row is None else json.loads(row[0])
        return None if note is None else LibraryIds(str(note["id"]), frozenset(map(str, note["former"])))
    except (sqlite3.DatabaseError, ValueError, KeyError, TypeError):
        return None


def write_ids(connection: sqlite3.Connection, ids: LibraryIds, before: LibraryIds) -> None:
    """Record in a library that is being restored that it replaces another one."""
    former = (ids.former | before.former | {before.own}) - {ids.own}
    if former != ids.former:
        value = json.dumps({"id": ids.own, "former": sorted(former)})
        connection.execute("UPDATE notes SET value = ? WHERE key = ?", (value, KEY))
