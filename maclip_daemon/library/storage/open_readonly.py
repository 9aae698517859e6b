"""Open the library for reading only: nothing is created, migrated or changed. (A killed restore is ended.)

Only the standard library is imported here: SQLAlchemy alone would take half of the 0.3 s of `maclip status`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from maclip_daemon.errors import DatabaseUnfit, EnvironmentUnfit
from maclip_daemon.files import shared_memory
from maclip_daemon.library.storage import maintenance, schema
from maclip_daemon.library.storage.database_errors import translated
from maclip_daemon.library.storage.database_file import replacement
from maclip_daemon.library.storage.database_file.file_guard import is_in_log_mode, refuse_foreign_files

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class ReadableLibrary(Protocol):
    """A library that can be read, whether it may be written or not."""

    @property
    def path(self) -> Path:
        """The database file."""

    def reading(self) -> AbstractContextManager[Session]:
        """Yield a session in one read transaction."""

    def snapshot(self) -> AbstractContextManager[sqlite3.Connection]:
        """Yield a connection in one read transaction."""


class ReadOnlyLibrary:
    """A library that is open for reading only, beside a running daemon or without one."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection in one read transaction, for the functions of `queries`."""
        try:
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise translated(error, self.path) or error from error

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Yield a session in one read transaction, for the functions that take one."""
        from sqlalchemy import StaticPool, create_engine
        from sqlalchemy.exc import DBAPIError
        from sqlalchemy.orm import Session

        engine = create_engine("sqlite://", creator=lambda: self._connection, poolclass=StaticPool)
        try:
            with Session(engine) as session:
                session.connection().exec_driver_sql("BEGIN")
                yield session
        except DBAPIError as error:
            known = translated(error.orig, self.path) if isinstance(error.orig, sqlite3.Error) else None
            raise known or error from error

    def backup(self, destination: Path) -> None:
        """Copy the library to `destination` (see `maintenance.backup`)."""
        maintenance.backup(self._connection, self.path, destination)

    def check(self) -> list[str]:
        """Return what is wrong with the database, one line for each problem."""
        return maintenance.check(self._connection)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> ReadOnlyLibrary:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_readonly(path: Path, busy_timeout_s: float = 5.0, *, any_version: bool = False) -> ReadOnlyLibrary:
    """Open the library at `path` for reading only, safely beside a running daemon.

    Raises `EnvironmentUnfit` when there is none yet or it cannot be read. Raises `DatabaseUnfit` when it is
    corrupt, of another program, or (unless `any_version`) of another version than this program's.
    """
    replacement.end_cut_off(path)
    refuse_foreign_files(path)
    if not path.exists():
        raise EnvironmentUnfit(f"There is no library at {path} yet. `maclip run FOLDER` makes one.")
    connection: sqlite3.Connection | None = None
    try:
        connection = connect_readonly(path, busy_timeout_s)
        version = schema.version_of(connection, path)
        if version is schema.Version.EMPTY:
            raise EnvironmentUnfit(f"The library {path} is still empty. `maclip run FOLDER` fills it.")
        if version is schema.Version.NEWER and not any_version:
            raise schema.newer_version(path)
        if version is schema.Version.OLDER and not any_version:
            raise DatabaseUnfit(
                f"The library {path} was made by an older version of maclip-daemon. `maclip run` keeps a"
                " backup of it and brings it up to date."
            )
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise translated(error, path) or error from error
    except (DatabaseUnfit, EnvironmentUnfit):
        if connection is not None:
            connection.close()
        raise
    return ReadOnlyLibrary(path, connection)


def uri(path: Path) -> str:
    """Return the URI of a database file for SQLite, to be followed by `?mode=`."""
    return f"file:{quote(os.fsencode(path.absolute()))}"


def _maps_files(folder: Path) -> bool:
    try:
        return shared_memory.maps_files(folder)
    except OSError:  # the disk is full, or may not be written
        return True


def connect_readonly(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """Connect so that nothing can be written, and no file is left behind.

    SQLite's own `mode=ro` leaves `-wal` and `-shm` files behind for ever where no daemon runs. So the file is
    opened as a writer that refuses to write: that one removes its files. Where the folder cannot be
    written, nobody writes the file either, and it can be read as it is.
    """
    if os.access(path, os.W_OK) and os.access(path.absolute().parent, os.W_OK):
        mode = "?mode=rw"
    elif Path(f"{path}-wal").exists():
        mode = "?mode=ro"
    else:
        mode = "?mode=ro&immutable=1"
    # The daemon uses no log there; this library came from another disk, or a backup restored it.
    needs_to_be_alone = is_in_log_mode(path) and not _maps_files(path.absolute().parent)
    connection = sqlite3.connect(
        uri(path) + mode, uri=True, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
    )
    if needs_to_be_alone:
        connection.execute(maintenance.ALONE)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")  # views and indexes of a hostile library call no code
    return connection
