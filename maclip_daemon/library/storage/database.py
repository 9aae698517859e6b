"""The database file: opened and checked, written in whole transactions, backed up while in use."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session as Session  # what the library's functions take

from maclip_daemon.errors import DatabaseUnfit, EnvironmentUnfit, Transient
from maclip_daemon.files import shared_memory
from maclip_daemon.library.storage import maintenance, recovery_hints, schema
from maclip_daemon.library.storage.connections import (
    BEGIN,
    BUSY_TIMEOUT_S,
    driver_of,
    engine_for,
)
from maclip_daemon.library.storage.database_errors import DatabaseBusy, require_free_space, translated
from maclip_daemon.library.storage.database_file import clean_shutdown, orphaned_database, replacement
from maclip_daemon.library.storage.database_file.file_guard import (
    DatabaseFileChanged,
    FileGuard,
    is_in_log_mode,
    refuse_foreign_files,
)
from maclip_daemon.library.storage.open_readonly import uri
from maclip_daemon.library.storage.recovery_hints import damaged_hint

LOCK_TIMEOUT_S = 60.0
"""How long a transaction waits for the lock of another program."""
BRIEF_TIMEOUT_S = 0.5
"""The same where the main thread must handle signals and a later try will do."""
_ASK_AGAIN_S = 0.05


class Library:
    """An open library. Close it when done; it may be used from several threads."""

    def __init__(self, path: Path, guard: FileGuard, busy_timeout_s: float) -> None:
        self.path = path
        self._guard = guard
        self._engine = engine = engine_for(path, guard, busy_timeout_s)
        self._writers = engine.execution_options(**{BEGIN: "BEGIN IMMEDIATE"})
        self._busy_timeout_s = busy_timeout_s
        # Writers of this process take turns here; SQLite's own waiting is by chance and may starve one.
        self._writer = threading.Lock()
        self._is_sound = False
        self._lost: DatabaseUnfit | None = None
        self._losing = threading.Lock()  # readers and the writer may find at once that the file was exchanged

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        create: bool = True,
        busy_timeout_s: float = LOCK_TIMEOUT_S,
        is_in_use: bool = False,
    ) -> Library:
        """Open, check and if need be migrate the library at `path`.

        It is checked page by page, except after a clean shutdown or when a daemon has it open (`is_in_use`).
        An older library is first backed up beside itself. Raises `DatabaseUnfit` (corrupt, of a newer version
        or another program), `EnvironmentUnfit` (cannot be opened, or locked by another program for
        `busy_timeout_s`), `NoSpace`.
        """
        replacement.end_cut_off(path)
        if not create and not path.exists():
            raise EnvironmentUnfit(f"There is no library at {path} yet. `maclip run FOLDER` makes one.")
        refuse_foreign_files(path)
        library = cls(path, _guarded(path), busy_timeout_s)
        try:
            with library._translating():
                is_sound = is_in_use or clean_shutdown.is_clean(path)
                uses_log = _may_use_log(path)
                if not uses_log and not is_in_use and is_in_log_mode(path):
                    library._leave_log(is_sound)
                library._fit(is_sound, uses_log)
        except BaseException:
            library.close()
            raise
        return library

    def _leave_log(self, is_sound: bool) -> None:
        """Take a library that came here from another disk out of write-ahead mode.

        Raises `DatabaseBusy` while another program has it open.
        """
        address = f"{uri(self.path)}?mode=rw"
        with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as alone:
            alone.execute(maintenance.ALONE)
            alone.execute("PRAGMA trusted_schema = OFF")
            self._require_fit(alone, is_sound)
            alone.execute("PRAGMA journal_mode = DELETE")

    def _require_fit(self, connection: sqlite3.Connection, is_sound: bool) -> schema.Version:
        """Return the version; raise `DatabaseUnfit` for a newer one and for a damaged library."""
        version = schema.version_of(connection, self.path)
        if version is schema.Version.NEWER:
            raise schema.newer_version(self.path)
        if version is not schema.Version.EMPTY and not is_sound:
            ((verdict, *_),) = connection.execute("PRAGMA quick_check(1)").fetchall()
            if verdict != "ok":
                raise DatabaseUnfit(
                    f"The library {self.path} is damaged ({verdict}). {damaged_hint(self.path)}"
                )
        return version

    def _fit(self, is_sound: bool, uses_log: bool) -> None:
        with self.snapshot() as snapshot:
            version = self._require_fit(snapshot, is_sound)
            if version is schema.Version.OLDER:
                stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
                maintenance.backup(
                    snapshot, self.path, self.path.with_name(f"{self.path.name}.before-{stamp}")
                )
        with self._writers.connect() as connection:
            # Neither can be changed inside a transaction. A restored backup is not in WAL mode yet.
            asked = "PRAGMA journal_mode = WAL" if uses_log else "PRAGMA journal_mode"
            mode = self._ask_while_locked(driver_of(connection), asked)
            if version is not schema.Version.PRESENT:
                driver_of(connection).execute("PRAGMA foreign_keys = OFF")  # a migration may rebuild tables
                try:
                    with connection.begin():
                        self._migrate(connection)
                finally:
                    driver_of(connection).execute("PRAGMA foreign_keys = ON")
        self._guard.opened(has_log=mode == "wal")
        self._is_sound = True

    def _ask_while_locked(self, connection: sqlite3.Connection, statement: str) -> str:
        """Return the answer of a pragma for which SQLite itself does not wait, while others have the lock."""
        deadline = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                ((answer,),) = connection.execute(statement).fetchall()
                return str(answer)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(_ASK_AGAIN_S)

    def _migrate(self, connection: Connection) -> None:
        """Migrate, unless another process did it while this one waited for the lock."""
        if schema.version_of(driver_of(connection), self.path) is not schema.Version.PRESENT:
            schema.migrate(connection)
            if driver_of(connection).execute("PRAGMA foreign_key_check").fetchone() is not None:
                check = recovery_hints.maclip_command(self.path, "db", "check")
                raise DatabaseUnfit(
                    f"The library {self.path} could not be brought up to date: some of its rows are broken"
                    f" ({check} names them). {damaged_hint(self.path)}"
                )

    @contextmanager
    def writing(self, timeout_s: float | None = None) -> Iterator[Session]:
        """Yield a session in one write transaction: committed at the end, rolled back on any exception.

        A committed transaction survives a power cut. Raises `DatabaseBusy` when another program
        held the lock for `timeout_s` (default: the whole busy timeout), `DatabaseFull`, `DatabaseUnfit`.
        Not to be nested.
        """
        timeout_s = self._busy_timeout_s if timeout_s is None else timeout_s
        if not self._writer.acquire(timeout=timeout_s):
            raise DatabaseBusy(f"The library {self.path} was being written for too long. Try again.")
        writers = self._writers.execution_options(**{BUSY_TIMEOUT_S: timeout_s})
        try:
            with self._translating(), Session(writers) as session, session.begin():
                # BEGIN IMMEDIATE now: a later upgrade from reading could only fail.
                self._verify(driver_of(session.connection()))
                yield session
        finally:
            self._writer.release()

    def _verify(self, driver: sqlite3.Connection | None) -> None:
        """Raise `DatabaseUnfit` when the file was exchanged, and keep what can be kept of it.

        Without `driver`, after an error: only when it was overwritten, as such an error comes from that.
        """
        with self._losing:
            if self._lost is None:
                try:
                    self._guard.verify()
                    return
                except DatabaseFileChanged as changed:
                    if driver is None and changed.is_intact:
                        return
                    self._is_sound = False
                    self._lost = orphaned_database.preserve(self.path, changed, driver)
            raise self._lost

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Yield a session in one read transaction."""
        with self._translating(), Session(self._engine) as session:
            yield session

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection in one read transaction, for the functions of `queries`."""
        with self._translating(), self._engine.connect() as connection:
            driver = driver_of(connection)
            driver.execute("BEGIN")
            try:
                yield driver
            finally:
                if driver.in_transaction:  # some errors have ended it
                    driver.execute("ROLLBACK")

    def backup(self, destination: Path) -> None:
        """Copy the library to `destination`, whole or not at all (see `maintenance.backup`)."""
        with self.snapshot() as snapshot:
            maintenance.backup(snapshot, self.path, destination)

    def check(self) -> list[str]:
        """Return what is wrong with the database, one line for each problem."""
        with self.snapshot() as snapshot:
            return maintenance.check(snapshot)

    def require_free_space(self) -> None:
        """Raise `DatabaseFull` unless the disk of the library has some free space."""
        require_free_space(self.path)

    def close(self) -> None:
        """Close all connections; the last one merges the write-ahead log into the file."""
        self._engine.dispose()
        if not self._guard.is_open:
            return
        with suppress(DatabaseFileChanged):
            self._guard.verify_name()
            if self._is_sound:
                clean_shutdown.record(self.path)
        self._guard.close()

    @contextmanager
    def _translating(self) -> Iterator[None]:
        """Raise SQLite's errors as this program's errors."""
        try:
            yield
        except (DBAPIError, sqlite3.Error) as error:
            found = error.orig if isinstance(error, DBAPIError) else error
            known = translated(found, self.path) if isinstance(found, sqlite3.Error) else None
            if known is not None and not isinstance(known, Transient):
                self._is_sound = False
                if self._guard.is_open:
                    self._verify(None)  # a backup that is copied over the file may lack a page yet
            raise known or error from error

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _may_use_log(path: Path) -> bool:
    """Return whether the library's folder can hold a write-ahead log (see `shared_memory`)."""
    try:
        return shared_memory.is_safe(path.absolute().parent)
    except OSError as error:
        raise translated(error, path) or error from error


def _guarded(path: Path) -> FileGuard:
    """Return the guard of the file, which is made if need be, readable by its owner alone."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, maintenance.PRIVATE))
        return FileGuard(path)
    except OSError as error:
        raise translated(error, path) or error from error
