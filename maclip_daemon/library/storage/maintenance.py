"""Maintenance of the database file: a backup while it is in use, and a full check."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from maclip_daemon.errors import DatabaseUnfit, EnvironmentUnfit, NoSpace
from maclip_daemon.files.safe_writer import flush
from maclip_daemon.library.storage.database_errors import translated
from maclip_daemon.library.storage.recovery_hints import damaged_hint

PAGES_A_STEP = 4096  # 16 MiB, then other connections get a turn
PRIVATE = 0o600  # paths and dates of private photos
MAXIMUM_FINDINGS = 50
# The first statement of a connection that needs no shared memory for a write-ahead log: nobody else has it.
ALONE = "PRAGMA locking_mode = EXCLUSIVE"


def backup(source: sqlite3.Connection, source_path: Path, destination: Path) -> None:
    """Copy the database to `destination`: whole and verified, or not at all.

    It is written beside the destination, checked, flushed to the disk and renamed. Raises `EnvironmentUnfit`
    when the destination is the library itself or cannot be written, `NoSpace`, `DatabaseUnfit`.
    """
    if destination.is_dir():
        destination = destination / source_path.name
    if destination.absolute() == source_path.absolute() or (
        destination.exists() and destination.samefile(source_path)
    ):
        raise EnvironmentUnfit(f"{destination} is the library itself. Name another file for the backup.")
    temporary = destination.with_name(f".{destination.name}.{os.getpid()}.partial")
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE))
        with closing(sqlite3.connect(temporary, isolation_level=None)) as copy:
            copy.execute(ALONE)
            source.backup(copy, pages=PAGES_A_STEP)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log
            problems = check(copy)
        if problems:
            raise DatabaseUnfit(
                f"The library {source_path} is damaged, so no backup was made of it ({problems[0]})."
                f" {damaged_hint(source_path)}"
            )
        flush(temporary)
        temporary.replace(destination)
        flush(destination.absolute().parent)
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise translated(error, source_path) or error from error  # the copy is new; the library is not
        raise _not_written(error, destination) from error
    except OSError as error:
        raise _not_written(error, destination) from error
    finally:
        temporary.unlink(missing_ok=True)


def _not_written(error: sqlite3.Error | OSError, destination: Path) -> Exception:
    known = translated(error, destination)
    if isinstance(known, NoSpace):
        return NoSpace(
            f"{destination} was not written, because its disk is full or a quota there is used up. Free some"
            " space there, or name another place for the backup."
        )
    return known or error


def check(connection: sqlite3.Connection) -> list[str]:
    """Return what is wrong with the database, one line for each problem."""
    try:
        problems = [
            str(line)
            for (line,) in connection.execute(f"PRAGMA integrity_check({MAXIMUM_FINDINGS})")
            if line != "ok"
        ]
        for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
            problems.append(f"row {row} of {table} points to a row of {parent} that is not there")
            if len(problems) >= MAXIMUM_FINDINGS:
                break
    except sqlite3.DatabaseError as error:
        return [str(error)]
    return problems
