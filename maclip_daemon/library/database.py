"""The database file: opened and checked, written in whole transactions, backed up while in use."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session as Session  # what every function of this room takes

from maclip_daemon.errors import DatabaseUnfit, EnvironmentUnfit
from maclip_daemon.library import headroom, schema, upkeep
from maclip_daemon.library.database_errors import WAY_OUT, DatabaseBusy, translated
from maclip_daemon.library.reader import Reader

CACHE_KIB = 16 * 1024  # a connection's page cache; the parent process stays under 150 MB
_BEGIN = "maclip_begin"
_PATIENCE_S = "maclip_patience_s"


class Library:
    """An open library. Close it when done; it may be used from several threads."""

    def __init__(self, path: Path, engine: Engine, busy_timeout_s: float) -> None:
        self.path = path
        self._engine = engine
        self._writers = engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        self._busy_timeout_s = busy_timeout_s
        # Writers of this process queue here, in turn; SQLite's own waiting is by chance and may starve one.
        self._writer = threading.Lock()

    @classmethod
    def open(cls, path: Path, *, create: bool = True, busy_timeout_s: float = 60.0) -> Library:
        """Open, check and if need be migrate the library at `path`.

        An older library is backed up beside itself first. Raises `DatabaseUnfit` (corrupt, of a newer
        version, not ours), `EnvironmentUnfit` (cannot be opened, or locked by another program for
        `busy_timeout_s`), `NoSpace`.
        """
        if not create and not path.exists():
            raise EnvironmentUnfit(f"There is no library at {path} yet. `maclip run FOLDER` makes one.")
        _make_private(path)
        library = cls(path, _engine(path, busy_timeout_s), busy_timeout_s)
        try:
            with _translating(path):
                library._fit()
        except BaseException:
            library.close()
            raise
        return library

    def _fit(self) -> None:
        with self.reader() as reader:
            version = schema.version_of(reader, self.path)
            if version is not schema.Version.EMPTY:
                ((verdict, *_),) = reader.execute("PRAGMA quick_check(1)").fetchall()
                if verdict != "ok":
                    raise DatabaseUnfit(f"The library {self.path} is damaged ({verdict}). {WAY_OUT}")
            if version is schema.Version.OTHER:
                stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
                upkeep.backup(reader, self.path, self.path.with_name(f"{self.path.name}.before-{stamp}"))
        with self._writers.connect() as connection:
            # Neither can be changed inside a transaction. A restored backup is not in WAL mode yet.
            _driver(connection).execute("PRAGMA journal_mode = WAL")
            if version is not schema.Version.PRESENT:
                _driver(connection).execute("PRAGMA foreign_keys = OFF")  # a migration may rebuild tables
                try:
                    with connection.begin():
                        self._migrate(connection)
                finally:
                    _driver(connection).execute("PRAGMA foreign_keys = ON")

    def _migrate(self, connection: Connection) -> None:
        """Migrate, unless another process did it while this one waited for the lock."""
        if schema.version_of(_driver(connection), self.path) is not schema.Version.PRESENT:
            schema.migrate(connection, self.path)
            if _driver(connection).execute("PRAGMA foreign_key_check").fetchone() is not None:
                raise DatabaseUnfit(
                    f"The library {self.path} could not be brought up to date and was left as it was."
                    " `maclip db check` names the broken rows."
                )

    @contextmanager
    def writing(self, patience_s: float | None = None) -> Iterator[Session]:
        """Give a session in one write transaction: committed at the end, rolled back on any exception.

        Once it returned, the transaction survives a power cut. Raises `DatabaseBusy` when another program
        held the lock for `patience_s` (default: the whole busy timeout), `DatabaseFull`, `DatabaseUnfit`.
        Not to be nested.
        """
        patience_s = self._busy_timeout_s if patience_s is None else patience_s
        if not self._writer.acquire(timeout=patience_s):
            raise DatabaseBusy(f"The library {self.path} was being written for too long. Try again.")
        writers = self._writers.execution_options(**{_PATIENCE_S: patience_s})
        try:
            with _translating(self.path), Session(writers) as session, session.begin():
                session.connection()  # BEGIN IMMEDIATE now: a later upgrade from reading could only fail
                yield session
        finally:
            self._writer.release()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Give a session that sees one unchanging moment of the library."""
        with _translating(self.path), Session(self._engine) as session:
            yield session

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Give what `queries` takes, at one unchanging moment of the library."""
        with _translating(self.path), self._engine.connect() as connection:
            driver = _driver(connection)
            driver.execute("BEGIN")
            try:
                yield driver
            finally:
                driver.execute("ROLLBACK")

    def backup(self, destination: Path) -> None:
        """Copy the library as it is now to `destination`, whole or not at all (see `upkeep.backup`)."""
        with self.reader() as reader:
            upkeep.backup(reader, self.path, destination)

    def check(self) -> list[str]:
        """Give what is wrong with the database, one line each; nothing: it is sound."""
        with self.reader() as reader:
            return upkeep.check(reader)

    def require_room(self) -> None:
        """Raise `DatabaseFull` unless the disk of the library has some room again (see `headroom`)."""
        headroom.require(self.path)

    def close(self) -> None:
        """Close all connections; the last one merges the write-ahead log into the file."""
        self._engine.dispose()

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _engine(path: Path, busy_timeout_s: float) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=os.fspath(path)),
        connect_args={"timeout": busy_timeout_s, "isolation_level": None, "check_same_thread": False},
        poolclass=QueuePool,
        pool_size=4,
        max_overflow=28,
    )

    @event.listens_for(engine, "connect")
    def prepare(driver: sqlite3.Connection, _: object) -> None:
        driver.execute("PRAGMA foreign_keys = ON")
        # FULL: the journal entry of a file change must be on the disk before the file is touched, or a power
        # cut takes away the way back. Work is stored in batches, so its one flush a transaction (3.5 ms on a
        # virtual disk) does not count beside decoding and scoring.
        driver.execute("PRAGMA synchronous = FULL")
        driver.execute(f"PRAGMA cache_size = -{CACHE_KIB}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        patience_s = options.get(_PATIENCE_S, busy_timeout_s)
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {round(patience_s * 1000)}")
        connection.exec_driver_sql(options.get(_BEGIN, "BEGIN"))

    return engine


def _make_private(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, upkeep.PRIVATE))
    except OSError as error:
        raise translated(error, path) or error from error


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


@contextmanager
def _translating(path: Path) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        known = translated(error.orig, path) if isinstance(error.orig, sqlite3.Error) else None
        raise known or error from error
    except sqlite3.Error as error:
        raise translated(error, path) or error from error
