"""Merge a person's decisions that wait to be written into the library that replaces the one in use.

Those that the backup has waiting were written, undone or replaced since, unless they wait in both.
"""

from __future__ import annotations

import sqlite3

from maclip_daemon.library.restore.former_library import (
    DECISION_COLUMNS,
    DECISION_FILE_COLUMNS,
    FormerLibrary,
    Row,
)
from maclip_daemon.library.restore.photo_match import same_photo

_END = "UPDATE decisions SET state = 'replaced' WHERE id = ?"
_ADDED = tuple(name for name in DECISION_COLUMNS if name != "id")
_ADDED_FILE = tuple(name for name in DECISION_FILE_COLUMNS if name != "id")


def merge(new: sqlite3.Connection, former: FormerLibrary) -> int:
    """Merge what waits in `former` into `new`, inside its open transaction.

    Return how many decisions have no photo in `new`.
    """
    found = former.waiting_decisions()
    if found is None:
        return 0
    known = dict(new.execute("SELECT id, decided_at FROM decisions WHERE state = 'waiting'"))
    waiting = {row["id"]: row for row in found}
    for number, decided_at in known.items():
        if number not in waiting or waiting[number]["decided_at"] != decided_at:
            new.execute(_END, (number,))
        else:
            _renew_files(new, former, number)
    added = [row for row in found if known.get(row["id"]) != row["decided_at"]]
    keys = former.keys(sorted({row["photo_id"] for row in added}))
    presses: dict[int, int] = {}
    left = 0
    for row in added:
        photo_id = same_photo(new, keys[row["photo_id"]]) if row["photo_id"] in keys else None
        if photo_id is None:
            left += 1
            continue
        number = _insert(new, "decisions", _ADDED, row | {"photo_id": photo_id})
        press = presses.setdefault(row["press"], number)
        new.execute("UPDATE decisions SET press = ? WHERE id = ?", (press, number))
        _add_files(new, former.decided_files(row["id"]), number)
    return left


def _renew_files(new: sqlite3.Connection, former: FormerLibrary, number: int) -> None:
    """Let a decision that waits in both have what it changed since."""
    files = former.decided_files(number)
    query = "SELECT after_hash FROM decision_files WHERE decision_id = ? ORDER BY id"
    if [row["after_hash"] for row in files] != [known for (known,) in new.execute(query, (number,))]:
        new.execute("DELETE FROM decision_files WHERE decision_id = ?", (number,))
        _add_files(new, files, number)


def _add_files(new: sqlite3.Connection, files: list[Row], decision_id: int) -> None:
    for file in files:
        _insert(new, "decision_files", _ADDED_FILE, file | {"decision_id": decision_id})


def _insert(new: sqlite3.Connection, table: str, columns: tuple[str, ...], row: Row) -> int:
    """Return the number of the new row."""
    places = ", ".join("?" * len(columns))
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"
    number = new.execute(statement, [row[name] for name in columns]).lastrowid
    assert number is not None
    return number
