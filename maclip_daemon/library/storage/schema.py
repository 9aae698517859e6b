"""Which version of the library a file is, and how it becomes the present one.

What a file is can be told with the standard library alone; alembic is imported only to migrate.
"""

from __future__ import annotations

import shlex
import sqlite3
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from maclip_daemon.errors import DatabaseUnfit
from maclip_daemon.library.storage.planner_statistics import STATISTICS
from maclip_daemon.library.storage.recovery_hints import for_damaged, for_newer
from maclip_daemon.library.storage.sql_views import VIEWS

if TYPE_CHECKING:
    from sqlalchemy import Connection

APPLICATION_ID = 0x4D41434C  # "MACL", in bytes 68 to 71 of the file
REVISIONS = ("0001", "0002", "0003", "0004")  # every migration; a test compares them with migrations/versions
HEAD = REVISIONS[-1]

MIGRATIONS = Path(__file__).parent / "migrations"


class Version(Enum):
    """What was found in a database file."""

    EMPTY = "empty"
    OLDER = "older"
    PRESENT = "present"
    NEWER = "newer"


def version_of(connection: sqlite3.Connection, path: Path) -> Version:
    """Tell an empty file from a library of the present, an older or a newer version.

    Raises `DatabaseUnfit` for a database that is not ours, or has somebody's triggers, `sqlite3.Error` for
    what is none.
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
    _refuse_triggers(connection, path)
    revision = _revision(connection)
    if revision == HEAD:
        return Version.PRESENT
    return Version.OLDER if revision is None or revision in REVISIONS else Version.NEWER


def _refuse_triggers(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `DatabaseUnfit` for a trigger: we have none, and somebody's SQL would run with our changes."""
    trigger = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchone()
    if trigger is not None:
        quoted = '"' + str(trigger[0]).replace('"', '""') + '"'
        remove = shlex.join(["sqlite3", str(path), f"DROP TRIGGER {quoted}"])
        raise DatabaseUnfit(
            f"The library {path} has a trigger that maclip did not make ({trigger[0]!r}); it would run"
            f" with every change. If it is yours, `{remove}` removes it. {for_damaged(path)}"
        )


def _revision(connection: sqlite3.Connection) -> str | None:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
    if found is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def newer(path: Path) -> DatabaseUnfit:
    """Say that a library comes from a later version of the program."""
    return DatabaseUnfit(
        f"The library {path} was made by a newer version of maclip-daemon. {for_newer(path)}"
    )


def migrate(connection: Connection) -> None:
    """Bring an older or empty library to the present version, inside the connection's open transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
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
