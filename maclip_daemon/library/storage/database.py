"""The database file: opened and checked, written in whole transactions, backed up while in use."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session as Session  # what every function of this room takes

from maclip_daemon.errors import DatabaseUnfit, EnvironmentUnfit, Transient
from maclip_daemon.library.storage import (
    clean_shutdown,
    free_space,
    maintenance,
    orphaned_database,
    recovery_hints,
    schema,
)
from maclip_daemon.library.storage.connections import (
    BEGIN,
    PATIENCE_S,
    driver_of,
    engine_for,
)
from maclip_daemon.library.storage.database_errors import DatabaseBusy, translated
from maclip_daemon.library.storage.file_guard import FileChanged, FileGuard, refuse_strangers
from maclip_daemon.library.storage.open_readonly import Reader
from maclip_daemon.library.storage.recovery_hints import for_damaged


class Library:
    """An open library. Close it when done; it may be used from several threads."""

    def __init__(self, path: Path, guard: FileGuard, busy_timeout_s: float) -> None:
        self.path = path
        self._guard = guard
        self._engine = engine = engine_for(path, guard, busy_timeout_s)
        self._writers = engine.execution_options(**{BEGIN: "BEGIN IMMEDIATE"})
        self._busy_timeout_s = busy_timeout_s
        # Writers of this process queue here, in turn; SQLite's own waiting is by chance and may starve one.
        self._writer = threading.Lock()
        self._is_sound = False
        self._lost: DatabaseUnfit | None = None

    @classmethod
    def open(
        cls, path: Path, *, create: bool = True, busy_timeout_s: float = 60.0, is_in_use: bool = False
    ) -> Library:
        """Open, check and if need be migrate the library at `path`.

        It is checked page by page unless it is as it was closed in good order, or a daemon that checked it
        has it open (`is_in_use`). An older library is backed up beside itself first. Raises `DatabaseUnfit`
        (corrupt, of a newer version, not ours), `EnvironmentUnfit` (cannot be opened, or locked by another
        program for `busy_timeout_s`), `NoSpace`.
        """
        if not create and not path.exists():
            raise EnvironmentUnfit(f"There is no library at {path} yet. `maclip run FOLDER` makes one.")
        refuse_strangers(path)
        library = cls(path, _guarded(path), busy_timeout_s)
        try:
            with library._translating():
                library._fit(is_sound=is_in_use or clean_shutdown.stands(path))
        except BaseException:
            library.close()
            raise
        return library

    def _fit(self, is_sound: bool) -> None:
        with self.reader() as reader:
            version = schema.version_of(reader, self.path)
            if version is schema.Version.NEWER:
                raise schema.newer(self.path)
            if version is not schema.Version.EMPTY and not is_sound:
                ((verdict, *_),) = reader.execute("PRAGMA quick_check(1)").fetchall()
                if verdict != "ok":
                    raise DatabaseUnfit(
                        f"The library {self.path} is damaged ({verdict}). {for_damaged(self.path)}"
                    )
            if version is schema.Version.OLDER:
                stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
                maintenance.backup(reader, self.path, self.path.with_name(f"{self.path.name}.before-{stamp}"))
        with self._writers.connect() as connection:
            # Neither can be changed inside a transaction. A restored backup is not in WAL mode yet.
            ((mode,),) = driver_of(connection).execute("PRAGMA journal_mode = WAL").fetchall()
            if version is not schema.Version.PRESENT:
                driver_of(connection).execute("PRAGMA foreign_keys = OFF")  # a migration may rebuild tables
                try:
                    with connection.begin():
                        self._migrate(connection)
                finally:
                    driver_of(connection).execute("PRAGMA foreign_keys = ON")
        self._guard.has_log = mode == "wal"
        self._is_sound = True

    def _migrate(self, connection: Connection) -> None:
        """Migrate, unless another process did it while this one waited for the lock."""
        if schema.version_of(driver_of(connection), self.path) is not schema.Version.PRESENT:
            schema.migrate(connection)
            if driver_of(connection).execute("PRAGMA foreign_key_check").fetchone() is not None:
                check = recovery_hints.command(self.path, "db", "check")
                raise DatabaseUnfit(
                    f"The library {self.path} could not be brought up to date: some of its rows are broken"
                    f" ({check} names them). {for_damaged(self.path)}"
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
        writers = self._writers.execution_options(**{PATIENCE_S: patience_s})
        try:
            with self._translating(), Session(writers) as session, session.begin():
                # BEGIN IMMEDIATE now: a later upgrade from reading could only fail.
                self._verify(session.connection())
                yield session
        finally:
            self._writer.release()

    def _verify(self, connection: Connection) -> None:
        if self._lost is None:
            try:
                self._guard.verify()
                return
            except FileChanged as changed:
                self._is_sound = False
                self._lost = orphaned_database.rescued(self.path, changed, driver_of(connection))
        raise self._lost

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Give a session that sees one unchanging moment of the library."""
        with self._translating(), Session(self._engine) as session:
            yield session

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Give what `queries` takes, at one unchanging moment of the library."""
        with self._translating(), self._engine.connect() as connection:
            driver = driver_of(connection)
            driver.execute("BEGIN")
            try:
                yield driver
            finally:
                driver.execute("ROLLBACK")

    def backup(self, destination: Path) -> None:
        """Copy the library as it is now to `destination`, whole or not at all (see `upkeep.backup`)."""
        with self.reader() as reader:
            maintenance.backup(reader, self.path, destination)

    def check(self) -> list[str]:
        """Give what is wrong with the database, one line each; nothing: it is sound."""
        with self.reader() as reader:
            return maintenance.check(reader)

    def require_room(self) -> None:
        """Raise `DatabaseFull` unless the disk of the library has some room again (see `headroom`)."""
        free_space.require(self.path)

    def close(self) -> None:
        """Close all connections; the last one merges the write-ahead log into the file."""
        self._engine.dispose()
        if not self._guard.is_open:
            return
        with suppress(FileChanged):
            self._guard.verify_name()
            if self._is_sound:
                clean_shutdown.leave(self.path)
        self._guard.close()

    @contextmanager
    def _translating(self) -> Iterator[None]:
        """Raise SQLite's errors as this program's."""
        try:
            yield
        except (DBAPIError, sqlite3.Error) as error:
            found = error.orig if isinstance(error, DBAPIError) else error
            known = translated(found, self.path) if isinstance(found, sqlite3.Error) else None
            if known is not None and not isinstance(known, Transient):
                self._is_sound = False
            raise known or error from error

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _guarded(path: Path) -> FileGuard:
    """Make the file, private, unless it is there; and guard it."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, maintenance.PRIVATE))
        return FileGuard(path)
    except OSError as error:
        raise translated(error, path) or error from error
