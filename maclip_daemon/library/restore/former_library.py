"""The library that is about to be set aside, read as far as its damage allows, and never written.

Its journal is read by itself, entry by entry: a broken page of another table costs none of it.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from maclip_daemon.errors import DatabaseUnfit
from maclip_daemon.library.storage.database_file.file_guard import refuse_foreign_files
from maclip_daemon.library.storage.library_identity import LibraryIds, read_ids
from maclip_daemon.library.storage.open_readonly import uri
from maclip_daemon.library.storage.stored_paths import StoredPath

BATCH = 500  # rows read together; one by one where a page is broken
MAX_ID = 50_000_000  # entries of a million photos over a lifetime; a larger number is damage

JOURNAL_COLUMNS = (
    "id",
    "photo_id",
    "target_path",
    "origin_path",
    "kind",
    "state",
    "before_hash",
    "after_hash",
    "stars_before",
    "stars_written",
    "intended_at",
    "settled_at",
    "restore_data",
    "pixel_hash",
    "adopted_from",
    "former_stars",
)
RATING_COLUMNS = (
    "rating_in_file",
    "rating_owner",
    "stars_written",
    "rating_undone_at",
    "rating_problem",
    "other_library",
    "may_replace",
)
DECISION_COLUMNS = (
    "id",
    "photo_id",
    "review",
    "press",
    "rating",
    "pick",
    "seen",
    "before",
    "state",
    "reason",
    "decided_at",
    "settled_at",
)
DECISION_FILE_COLUMNS = ("id", "decision_id", "target_path", "before_hash", "after_hash", "restore_data")
PHOTO_COLUMNS = (
    "id",
    "file_name",
    "device",
    "inode",
    "size",
    "mtime_ns",
    "pixel_hash",
    *RATING_COLUMNS,
    "is_picked",
)

Row = dict[str, Any]


class PhotoKey(NamedTuple):
    """What tells a photo in two libraries: its path, its pixels, its file."""

    folder: StoredPath
    file_name: StoredPath
    pixel_hash: str | None
    identity: tuple[int, int, int, int]
    """device, inode, size, mtime_ns, as SQLite stores them."""


@dataclass
class FormerLibrary:
    """An open library of any version, perhaps damaged. Close it when done."""

    connection: sqlite3.Connection
    unreadable: int = 0
    """Journal entries that could not be read so far."""
    unreadable_decisions: int = 0
    """Decisions, or lists of their files, that could not be read so far."""

    def ids(self) -> LibraryIds | None:
        """Return its ids; None: it is older than ids, or they cannot be read."""
        return read_ids(self.connection)

    def entries(self) -> Iterator[list[Row]]:
        """Yield the journal in batches, oldest first; count in `unreadable` what cannot be read."""
        yield from self._batches("rating_journal", JOURNAL_COLUMNS)

    def note(self, key: str) -> Any:
        """Return a note; None where there is none, or it cannot be read."""
        with contextlib.suppress(sqlite3.DatabaseError, ValueError):
            row = self.connection.execute("SELECT value FROM notes WHERE key = ?", (key,)).fetchone()
            return None if row is None else json.loads(row[0])
        return None

    def photos(self) -> Iterator[list[tuple[Row, PhotoKey]]]:
        """Yield the photos in batches, each with its key."""
        for rows in self._batches("photos", (*PHOTO_COLUMNS, "folder_id")):
            folders = self._folders([row["folder_id"] for row in rows])
            yield [(row, _key(row, folders[row["folder_id"]])) for row in rows if row["folder_id"] in folders]

    def keys(self, photo_ids: Sequence[int]) -> dict[int, PhotoKey]:
        """Return the keys of these photos, by id, without those that cannot be read."""
        rows = self._by_id("photos", self._columns("photos", (*PHOTO_COLUMNS, "folder_id")), photo_ids)
        folders = self._folders([row["folder_id"] for row in rows])
        return {
            row["id"]: _key(row, folders[row["folder_id"]]) for row in rows if row["folder_id"] in folders
        }

    def has_decisions(self) -> bool:
        """Return whether it knows decisions: not where it is older than these."""
        try:
            self.connection.execute("SELECT state FROM decisions LIMIT 1").fetchall()
        except sqlite3.DatabaseError as error:
            self.unreadable_decisions += "no such table" not in str(error)
            return False
        return True

    def decisions(self) -> Iterator[list[Row]]:
        """Yield a person's decisions in batches, oldest first, without those that cannot be read."""
        yield from self._batches("decisions", DECISION_COLUMNS)

    def decided_files(self, decision_id: int) -> list[Row] | None:
        """Return the changes that a decision made to files so far, oldest first; None: it cannot be read."""
        query = (
            f"SELECT {', '.join(DECISION_FILE_COLUMNS)} FROM decision_files WHERE decision_id = ? ORDER BY id"
        )
        try:
            found = self.connection.execute(query, (decision_id,)).fetchall()
        except sqlite3.DatabaseError:
            self.unreadable_decisions += 1
            return None
        return [dict(zip(DECISION_FILE_COLUMNS, row, strict=True)) for row in found]

    def close(self) -> None:
        """Close the connection; nothing was written."""
        self.connection.close()

    def _folders(self, folder_ids: Sequence[int]) -> dict[int, StoredPath]:
        rows = self._by_id("folders", ("id", "path"), sorted(set(folder_ids)))
        return {row["id"]: row["path"] for row in rows}

    def _columns(self, table: str, wanted: Sequence[str]) -> tuple[str, ...]:
        """Return those of the wanted columns that this version of the library has."""
        present = {row[1] for row in self.connection.execute(f"PRAGMA table_info({table})")}
        return tuple(name for name in wanted if name in present)

    def _batches(self, table: str, wanted: Sequence[str]) -> Iterator[list[Row]]:
        try:
            columns = self._columns(table, wanted)
            (last,) = self.connection.execute(f"SELECT max(id) FROM {table}").fetchone()
        except sqlite3.DatabaseError:
            self._note_unreadable(table, 1)
            return
        end = min(last, MAX_ID) if isinstance(last, int) else 0
        for first in range(1, end + 1, BATCH):
            rows = self._range(table, columns, first, min(first + BATCH - 1, end))
            yield [dict.fromkeys(wanted) | row for row in rows]

    def _range(self, table: str, columns: Sequence[str], first: int, last: int) -> list[Row]:
        """Return the rows with these ids; by halves where a page is broken."""
        query = f"SELECT {', '.join(columns)} FROM {table} WHERE id BETWEEN ? AND ? ORDER BY id"
        try:
            found = self.connection.execute(query, (first, last)).fetchall()
            return [dict(zip(columns, row, strict=True)) for row in found]
        except sqlite3.DatabaseError:
            if first == last:
                self._note_unreadable(table, 1)
                return []
        middle = (first + last) // 2
        return [
            *self._range(table, columns, first, middle),
            *self._range(table, columns, middle + 1, last),
        ]

    def _by_id(self, table: str, columns: Sequence[str], ids: Sequence[int]) -> list[Row]:
        marks = ", ".join("?" * len(ids))
        query = f"SELECT {', '.join(columns)} FROM {table} WHERE id IN ({marks})"
        try:
            found = self.connection.execute(query, list(ids)).fetchall()
            return [dict(zip(columns, row, strict=True)) for row in found]
        except sqlite3.DatabaseError:
            if len(ids) <= 1:
                self._note_unreadable(table, 0)
                return []
        half = len(ids) // 2
        return [*self._by_id(table, columns, ids[:half]), *self._by_id(table, columns, ids[half:])]

    def _note_unreadable(self, table: str, count: int) -> None:
        if table == "rating_journal":
            self.unreadable += count
        elif table == "decisions":
            self.unreadable_decisions += count


def _key(row: Row, folder: StoredPath) -> PhotoKey:
    identity = (row["device"], row["inode"], row["size"], row["mtime_ns"])
    return PhotoKey(folder, row["file_name"], row["pixel_hash"], identity)


def open_former(library: Path) -> FormerLibrary | None:
    """Open the library at `path` for reading alone; None: nothing of its journal can be read."""
    try:
        refuse_foreign_files(library)
        mode = "mode=ro"
    except DatabaseUnfit:
        mode = "mode=ro&immutable=1"  # its log is another library's
    try:
        connection = sqlite3.connect(f"{uri(library)}?{mode}", uri=True, isolation_level=None)
    except sqlite3.Error:
        return None
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA writable_schema = ON")  # reads a file that was cut off; writes nothing
        connection.execute("PRAGMA trusted_schema = OFF")  # views of a hostile library call no code
        connection.execute("SELECT 1 FROM rating_journal LIMIT 0").fetchall()
    except sqlite3.Error:
        connection.close()
        return None
    return FormerLibrary(connection)
