"""Which version of the library a file is, and how it becomes the present one.

What a file is can be told with the standard library alone; alembic is imported only to migrate.
"""

from __future__ import annotations

import sqlite3
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from maclip_daemon.errors import DatabaseUnfit
from maclip_daemon.library.planner_statistics import STATISTICS
from maclip_daemon.library.views import VIEWS

if TYPE_CHECKING:
    from sqlalchemy import Connection

APPLICATION_ID = 0x4D41434C  # "MACL", in bytes 68 to 71 of the file
HEAD = "0003"  # the newest migration; a test compares it with migrations/versions

MIGRATIONS = Path(__file__).parent / "migrations"


class Version(Enum):
    """What was found in a database file."""

    EMPTY = "empty"
    PRESENT = "present"
    OTHER = "other"


def version_of(connection: sqlite3.Connection, path: Path) -> Version:
    """Tell an empty file from a library of the present or another version.

    Raises `DatabaseUnfit` for a database that is not ours, `sqlite3.Error` for what is none.
    """
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not tables and application_id in (0, APPLICATION_ID):
        return Version.EMPTY
    if application_id != APPLICATION_ID:
        raise DatabaseUnfit(
            f"{path} is a database of another program and was left alone."
            " Choose another data folder with --data-dir."
        )
    return Version.PRESENT if _revision(connection) == HEAD else Version.OTHER


def _revision(connection: sqlite3.Connection) -> str | None:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
    if found is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def newer(path: Path) -> DatabaseUnfit:
    """Say that a library comes from a later version of the program."""
    return DatabaseUnfit(
        f"The library {path} was made by a newer version of maclip-daemon and was left alone."
        " Upgrade maclip-daemon, or choose another data folder with --data-dir."
    )


def migrate(connection: Connection, path: Path) -> None:
    """Bring the library to the present version, inside the connection's open transaction.

    Raises `DatabaseUnfit` when it is of a later version than this program knows.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and found not in known:
        raise newer(path)
    for view in VIEWS:
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {view}")
    command.upgrade(config, "head")
    for definition in VIEWS.values():
        connection.exec_driver_sql(definition)
    connection.exec_driver_sql("ANALYZE sqlite_master")  # makes the table of statistics
    connection.exec_driver_sql("DELETE FROM sqlite_stat1")
    connection.exec_driver_sql("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)", list(STATISTICS))
    connection.exec_driver_sql("ANALYZE sqlite_master")  # makes this connection read it
    connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
