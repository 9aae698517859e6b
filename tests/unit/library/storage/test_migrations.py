"""A library of an earlier version becomes one of this version, with all it holds."""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from maclip_daemon.library.results import scores
from maclip_daemon.library.storage import schema
from maclip_daemon.library.storage.database import Library

# `iterdump` of a library of the version before migration 0004: 34 photos, two models, a pair of RAW and JPEG,
# a name that is not UTF-8, two calibrations, a job that was given up, a rating and its journal entry.
DUMP = Path(__file__).with_name("library_0003.sql")
RENAMED = {"scales": "scoring_configs"}


@pytest.fixture
def old_library(tmp_path: Path) -> Path:
    path = tmp_path / "library.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(DUMP.read_text(encoding="utf-8"))
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    return path


def contents(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return the rows of every table and view, by its present name."""
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        return {
            RENAMED.get(name, name): sorted(connection.execute(f"SELECT * FROM {name}"), key=repr)
            for (name,) in names
        }


def test_a_library_from_before_scoring_configs_keeps_every_row_and_the_view_its_values(
    old_library: Path,
) -> None:
    with closing(sqlite3.connect(old_library)) as connection:
        columns = [name for name, *_ in connection.execute("SELECT * FROM photo_quality").description]
    before = contents(old_library)
    with Library.open(old_library) as library, library.reading() as session:
        config = scores.active_scoring_config(session)
        assert config is not None
        assert (config.metric, config.model, config.protocol) == ("maclip", "builtin@1", "spaq448")
        assert library.check() == []
    after = contents(old_library)
    assert after.pop("alembic_version") == [(schema.HEAD,)]
    assert before.pop("alembic_version") == [("0003",)]
    ((key, identity, _),) = [row for row in after["notes"] if row not in before["notes"]]
    assert (key, len(json.loads(str(identity))["id"])) == ("library", 8)
    after["notes"] = before["notes"]
    # The new columns are the last ones.
    assert {row[-8:] for row in after["photos"]} == {(None, None, None, None, 0, None, None, 0)}
    after["photos"] = [row[:-8] for row in after["photos"]]
    assert [after.pop(name) for name in ("bursts", "burst_frames", "photo_bursts")] == [[], [], []]
    (entry,) = after["rating_journal"]
    assert entry[-3:] == ("hash 1", None, None)
    after["rating_journal"] = [entry[:-3]]
    after["photo_quality"] = [row[: len(columns)] for row in after["photo_quality"]]
    assert [after.pop(table) for table in ("decisions", "decision_files", "measures")] == [[], [], []]
    for table, added in (("scores", (None, None)), ("jobs", (0, None))):
        assert {row[-len(added) :] for row in after[table]} <= {added}
        after[table] = [row[: -len(added)] for row in after[table]]
    assert {row[-1] for row in after["photo_failures"]} == {"other"}
    after["photo_failures"] = [row[:-1] for row in after["photo_failures"]]
    assert after == before
    assert len(after["photo_quality"]) == 33
    with closing(sqlite3.connect(old_library)) as connection:
        migrated = connection.execute("SELECT * FROM photo_quality")
        assert [name for name, *_ in migrated.description][: len(columns)] == columns


def test_a_migrated_library_has_the_indexes_of_a_new_one(old_library: Path, library: Library) -> None:
    query = "SELECT name, tbl_name FROM sqlite_master WHERE type = 'index' ORDER BY 1"
    with closing(sqlite3.connect(library.path)) as connection:
        expected = connection.execute(query).fetchall()
    Library.open(old_library).close()
    with closing(sqlite3.connect(old_library)) as connection:
        assert connection.execute(query).fetchall() == expected
        stale = "SELECT name FROM sqlite_master WHERE sql LIKE '%scale_id%' OR sql LIKE '%\"scales\"%'"
        assert [name for (name,) in connection.execute(stale)] == ["calibrations", "scores"]


def test_a_new_library_is_as_the_migrations_make_it(request: pytest.FixtureRequest) -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        schema.upgrade(connection)
        made = connection.exec_driver_sql(
            "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
        ).all()
        filled = [
            name
            for kind, name, _ in made
            if kind == "table" and connection.exec_driver_sql(f"SELECT 1 FROM {name}").first() is not None
        ]
        notes = connection.exec_driver_sql("SELECT key FROM notes").all()
    engine.dispose()
    assert (filled, notes) == (["alembic_version", "notes"], [("library",)])
    version = f"INSERT INTO alembic_version (version_num) VALUES ('{schema.HEAD}');"
    statements = [*(re.sub(r"\s*\n\s*", "\n  ", sql) + ";" for _, _, sql in made), version]
    if request.config.getoption("--renew"):
        schema.NEW_LIBRARY.write_text("\n\n".join(statements) + "\n", "utf-8")
    assert [
        statement.rstrip("\n") for statement in schema.NEW_LIBRARY.read_text("utf-8").split("\n\n")
    ] == statements, "a migration was added: run this test with --renew"


def test_the_library_before_a_migration_is_kept_beside_it(old_library: Path) -> None:
    before = contents(old_library)
    Library.open(old_library).close()
    (kept,) = old_library.parent.glob("library.db.before-*")
    assert contents(kept) == before
