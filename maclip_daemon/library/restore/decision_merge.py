"""Merge a person's decisions into the library that replaces the one in use: what waits, and what was written.

A decision of the backup gets the state that it has in the library in use; one that is not there has ended,
unless it may be among those that cannot be read.
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

_ADDED = tuple(name for name in DECISION_COLUMNS if name != "id")
_ADDED_FILE = tuple(name for name in DECISION_FILE_COLUMNS if name != "id")
_COUNTING = ("waiting", "written")


def merge(new: sqlite3.Connection, former: FormerLibrary) -> int:
    """Merge the decisions of `former` into `new`, inside its open transaction.

    Return how many of those that wait have no photo in `new`.
    """
    if not former.has_decisions():
        return 0
    rows = new.execute("SELECT id, decided_at, state FROM decisions WHERE state IN (?, ?)", _COUNTING)
    ended = {(number, decided_at): state for number, decided_at, state in rows}
    presses: dict[int, int] = {}
    left = 0
    for batch in former.decisions():
        keys = former.keys(sorted({row["photo_id"] for row in batch if isinstance(row["photo_id"], int)}))
        for row in batch:
            if (state := ended.pop((row["id"], row["decided_at"]), None)) is not None:
                _go_on(new, former, row, state)
                presses[row["press"]] = row["press"]
            elif row["state"] in _COUNTING:
                key = keys.get(row["photo_id"])
                photo_id = None if key is None else same_photo(new, key)
                is_added = photo_id is not None and _add(new, former, row | {"photo_id": photo_id}, presses)
                left += row["state"] == "waiting" and not is_added
    for (number, _), state in ended.items():
        if state == "waiting" and not former.unreadable_decisions:
            new.execute("UPDATE decisions SET state = 'replaced' WHERE id = ?", (number,))
    return left


def _go_on(new: sqlite3.Connection, former: FormerLibrary, row: Row, state: str) -> None:
    """Bring a known decision to where the library in use has it."""
    if row["state"] != state:
        values = (row["state"], row["reason"], row["settled_at"], row["id"])
        new.execute("UPDATE decisions SET state = ?, reason = ?, settled_at = ? WHERE id = ?", values)
    files = former.decided_files(row["id"])
    query = "SELECT target_path, after_hash FROM decision_files WHERE decision_id = ? ORDER BY id"
    known = [tuple(found) for found in new.execute(query, (row["id"],))]
    if files is not None and known != [(file["target_path"], file["after_hash"]) for file in files]:
        new.execute("DELETE FROM decision_files WHERE decision_id = ?", (row["id"],))
        for file in files:
            _insert(new, "decision_files", _ADDED_FILE, file)


def _add(new: sqlite3.Connection, former: FormerLibrary, row: Row, presses: dict[int, int]) -> bool:
    """Add a decision with its files; return whether it could be: a damaged one cannot."""
    new.execute("SAVEPOINT decision")
    try:
        number = _insert(new, "decisions", _ADDED, row)
        press = presses.setdefault(row["press"], number)
        new.execute("UPDATE decisions SET press = ? WHERE id = ?", (press, number))
        files = former.decided_files(row["id"])
        if files is None and row["state"] == "written":
            raise sqlite3.IntegrityError  # its undo would find nothing, and say that it is done
        for file in files or ():
            _insert(new, "decision_files", _ADDED_FILE, file | {"decision_id": number})
    except sqlite3.IntegrityError:
        new.execute("ROLLBACK TO decision")
        return False
    finally:
        new.execute("RELEASE decision")
    return True


def _insert(new: sqlite3.Connection, table: str, columns: tuple[str, ...], row: Row) -> int:
    """Return the number of the new row."""
    places = ", ".join("?" * len(columns))
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"
    number = new.execute(statement, [row[name] for name in columns]).lastrowid
    assert number is not None
    return number
