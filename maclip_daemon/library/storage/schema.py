"""The version of a database file, and its migration to the present one.

The version is read with the standard library alone; alembic is imported only to migrate an older library.
A new one is made from a listing of what the migrations lead to, in a fraction of the time.
"""

from __future__ import annotations

import shlex
import sqlite3
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from maclip_daemon.errors import DatabaseUnfit
from maclip_daemon.library.storage.recovery_hints import damaged_hint, newer_hint
from maclip_daemon.library.storage.sql_views import VIEWS

if TYPE_CHECKING:
    from sqlalchemy import Connection

APPLICATION_ID = 0x4D41434C  # "MACL", in bytes 68 to 71 of the file
# Every migration; a test compares them.
REVISIONS = (
    *("0001", "0002", "0003", "0004", "0005", "0006", "0007"),
    *("0008", "0009", "0010", "0011", "0012", "0013", "0014", "0015"),
)
HEAD = REVISIONS[-1]

MIGRATIONS = Path(__file__).parent / "migrations"
NEW_LIBRARY = MIGRATIONS / "new_library.sql"
"""The tables and indexes of a library at `HEAD`, an empty line between two; a test compares and renews it."""

# The contents of `sqlite_stat1`: table, index, "rows, then rows for each equal prefix of the index", here of
# a million photos in two thousand folders; for small libraries any plan is fast. Without statistics SQLite
# expects ten rows in the active configuration. Then queries over the whole view read a million photos in the
# order of an index (15 s instead of 3), and a folder's photos are searched among all (6 s instead of 0.1).
# ANALYZE with a sample comes out no better, and without one it stops the work. Programs may ship the table
# that ANALYZE would write: https://www.sqlite.org/optoverview.html
STATISTICS = (
    ("scores", "scores_scoring_config_id_score_photo_id", "1000000 1000000 1 1"),
    ("scores", "scores_scoring_config_id_folder_id_score", "1000000 1000000 500 1"),
    ("scores", "sqlite_autoindex_scores_1", "1000000 1 1"),
    ("photos", "sqlite_autoindex_photos_1", "1000000 500 1"),
    ("photos", "sqlite_autoindex_photos_2", "1000000 1 1"),
    ("photos", "photos_state", "1000000 250000"),
    ("photos", "photos_inode", "1000000 1"),
    ("photos", "photos_pixel_hash", "1000000 1"),
    ("photos", "photos_taken_at", "1000000 1"),
    ("photos", "photos_camera", "1000000 50000"),
    ("photos", "photos_lens", "1000000 25000"),
    ("measures", "measures_reasons", "80000 20"),
    ("folders", "sqlite_autoindex_folders_1", "2000 1"),
    ("folders", "folders_root_id", "2000 1000"),
    ("scoring_configs", "scoring_configs_one_active", "1 1"),
    ("scoring_configs", "sqlite_autoindex_scoring_configs_1", "2 2 2 1"),
    ("calibrations", "sqlite_autoindex_calibrations_1", "50 25 1"),
    ("quantiles", "quantiles", "50000 1000 1"),
    ("burst_frames", "burst_frames_series_moment_name_order", "1000000 20000 2 1 1"),
    ("burst_frames", "burst_frames_burst_id_burst_rank", "1000000 6 1"),
    ("bursts", "bursts_first_moment", "150000 1"),
    ("bursts", "bursts_best_id", "150000 1"),
)


class Version(Enum):
    """The version of a database file, compared with this program's."""

    EMPTY = "empty"
    OLDER = "older"
    PRESENT = "present"
    NEWER = "newer"


def version_of(connection: sqlite3.Connection, path: Path) -> Version:
    """Tell an empty file from a library of the present, an older or a newer version.

    Raises `DatabaseUnfit` for a database of another program or with triggers, `sqlite3.Error` for a file that
    is no database.
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
    """Raise `DatabaseUnfit` for a trigger: maclip makes none, and its SQL would run with every change."""
    trigger = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchone()
    if trigger is not None:
        quoted = '"' + str(trigger[0]).replace('"', '""') + '"'
        remove = shlex.join(["sqlite3", str(path), f"DROP TRIGGER {quoted}"])
        raise DatabaseUnfit(
            f"The library {path} has a trigger that maclip did not make ({trigger[0]!r}); it would run"
            f" with every change. If it is yours, `{remove}` removes it. {damaged_hint(path)}"
        )


def _revision(connection: sqlite3.Connection) -> str | None:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
    if found is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def newer_version(path: Path) -> DatabaseUnfit:
    """Return the error for a library of a newer version of the program."""
    return DatabaseUnfit(
        f"The library {path} was made by a newer version of maclip-daemon. {newer_hint(path)}"
    )


def migrate(connection: Connection) -> None:
    """Bring an older or empty library to the present version, inside the connection's open transaction."""
    for view in VIEWS:
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {view}")
    if connection.exec_driver_sql("SELECT 1 FROM sqlite_master").first() is None:
        _create(connection)
    else:
        upgrade(connection)
    for definition in VIEWS.values():
        connection.exec_driver_sql(definition)
    connection.exec_driver_sql("ANALYZE sqlite_master")  # creates the table of statistics
    connection.exec_driver_sql("DELETE FROM sqlite_stat1")
    connection.exec_driver_sql("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)", list(STATISTICS))
    connection.exec_driver_sql("ANALYZE sqlite_master")  # makes this connection read it
    connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")


def upgrade(connection: Connection) -> None:
    """Run the migrations that a library has not had."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _create(connection: Connection) -> None:
    from maclip_daemon.library.storage.library_identity import new_note

    for statement in NEW_LIBRARY.read_text("utf-8").split("\n\n"):
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql("INSERT INTO notes (key, value, changed_at) VALUES (?, ?, ?)", new_note())
