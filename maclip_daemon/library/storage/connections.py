"""The connections of the daemon to its database, and how their transactions begin."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event

from maclip_daemon.errors import DatabaseUnfit
from maclip_daemon.library.storage.database_file.file_guard import DatabaseFileChanged, FileGuard
from maclip_daemon.library.storage.open_readonly import uri

CACHE_KIB = 4 * 1024  # page cache of each of half a dozen connections; the parent stays under 150 MB
LOG_BYTES = 16 << 20  # of the write-ahead log that are kept for the next transactions
BEGIN = "maclip_begin"  # execution option: the statement that begins a transaction
BUSY_TIMEOUT_S = "maclip_busy_timeout_s"  # execution option: how long to wait for a locked database


def engine_for(path: Path, guard: FileGuard, busy_timeout_s: float) -> Engine:
    """Return the pool of connections to the guarded file."""

    def connect() -> sqlite3.Connection:
        # Never makes a file, and never reads another one: SQLite would mix its pages with ours.
        connection = sqlite3.connect(
            f"{uri(path)}?mode=rw",
            uri=True,
            timeout=busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            guard.verify_name()  # nothing was read yet
        except DatabaseFileChanged as changed:
            connection.close()
            raise DatabaseUnfit(
                f"The library {path} {changed} while maclip worked with it, so nothing more is written."
            ) from None
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_size=4, max_overflow=28)

    @event.listens_for(engine, "connect")
    def prepare(driver: sqlite3.Connection, _: object) -> None:
        driver.execute("PRAGMA foreign_keys = ON")
        driver.execute("PRAGMA trusted_schema = OFF")  # views and indexes of a hostile library call no code
        # FULL: the journal entry of a file change must be on the disk before the file is touched, or a power
        # cut makes undo impossible. Work is stored in batches, so its one flush a transaction (3.5 ms on a
        # virtual disk) does not count beside decoding and scoring.
        driver.execute("PRAGMA synchronous = FULL")
        driver.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        # A program that reads for long makes the log grow; afterwards the disk gets the room back.
        driver.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        timeout_s = options.get(BUSY_TIMEOUT_S, busy_timeout_s)
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {round(timeout_s * 1000)}")
        connection.exec_driver_sql(options.get(BEGIN, "BEGIN"))

    return engine


def driver_of(connection: Connection) -> sqlite3.Connection:
    """Return the standard library's connection below SQLAlchemy's."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver
