"""Opening, refusing, migrating and backing up, on real files."""

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from maclip_daemon.errors import DatabaseUnfit, EnvironmentUnfit, NoSpace, Transient
from maclip_daemon.library.storage import schema
from maclip_daemon.library.storage.database import Library
from maclip_daemon.library.storage.notes import put_note
from maclip_daemon.library.storage.open_readonly import open_readonly
from maclip_daemon.library.storage.tables import Table

NOW = 1_780_000_000.0


def test_migrating_from_nothing_gives_exactly_the_models(library: Library) -> None:
    engine = create_engine(f"sqlite:///{library.path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Table.metadata) == []
    engine.dispose()


def test_the_known_head_is_the_newest_migration() -> None:
    scripts = ScriptDirectory(str(schema.MIGRATIONS))
    assert scripts.get_heads() == [schema.HEAD]
    assert {script.revision for script in scripts.walk_revisions()} == set(schema.REVISIONS)


def test_a_new_library_is_private_durable_and_ours(library: Library) -> None:
    assert stat.S_IMODE(library.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(library.path.parent.stat().st_mode) == 0o700
    with library.snapshot() as snapshot:
        pragmas = {
            name: snapshot.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "foreign_keys", "synchronous", "application_id")
        }
    assert pragmas == {
        "journal_mode": "wal",
        "foreign_keys": 1,
        "synchronous": 2,
        "application_id": schema.APPLICATION_ID,
    }


def test_an_exception_takes_the_whole_transaction_back(library: Library) -> None:
    def half() -> None:
        with library.writing() as session:
            put_note(session, "state", "half done", NOW)
            raise KeyError

    with pytest.raises(KeyError):
        half()
    with library.snapshot() as snapshot:
        assert snapshot.execute("SELECT count(*) FROM notes WHERE key <> 'library'").fetchone() == (0,)


def test_nothing_is_created_unless_asked(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentUnfit, match="maclip run"):
        Library.open(tmp_path / "none.db", create=False)
    with pytest.raises(EnvironmentUnfit, match="maclip run"):
        open_readonly(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("opened_by", [Library.open, open_readonly])
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path, opened_by: object) -> None:
    path = tmp_path / "library.db"
    path.write_bytes(b"holiday plans " * 1000)
    with pytest.raises(DatabaseUnfit, match="db restore --new"):
        opened_by(path)  # type: ignore[operator]
    assert path.read_bytes() == b"holiday plans " * 1000


@pytest.mark.parametrize("opened_by", [Library.open, open_readonly])
def test_a_database_of_another_program_is_refused(tmp_path: Path, opened_by: object) -> None:
    path = tmp_path / "library.db"
    foreign = sqlite3.connect(path)
    foreign.execute("CREATE TABLE images (id)")
    foreign.commit()
    foreign.close()
    before = path.read_bytes()
    with pytest.raises(DatabaseUnfit, match="another program"):
        opened_by(path)  # type: ignore[operator]
    assert path.read_bytes() == before


@pytest.mark.parametrize("opened_by", [Library.open, open_readonly])
def test_a_library_of_a_newer_version_is_refused(library: Library, opened_by: object) -> None:
    with library.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    library.close()
    with pytest.raises(DatabaseUnfit, match=r"[Uu]pgrade maclip-daemon"):
        opened_by(library.path)  # type: ignore[operator]


def test_an_older_library_is_backed_up_before_it_is_migrated(library: Library) -> None:
    with library.writing() as session:
        put_note(session, "kept", [1], NOW)
        for view in ("photo_quality", "photo_failures"):
            session.execute(text(f"DROP VIEW {view}"))
        for table in reversed(Table.metadata.sorted_tables):
            session.execute(text(f"DROP TABLE {table.name}"))
        session.execute(text("DELETE FROM alembic_version"))
    library.close()
    with Library.open(library.path) as migrated:
        assert migrated.check() == []
    (kept,) = library.path.parent.glob("library.db.before-*")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_damaged_library_is_refused_with_the_cure_and_left_alone(library: Library) -> None:
    with library.writing() as session:
        for number in range(3000):
            put_note(session, f"note {number}", "x" * 100, NOW)
    library.close()
    content = bytearray(library.path.read_bytes())
    for page in range(len(content) // 8192, len(content) // 4096 - 1, 3):  # where the notes are
        content[page * 4096 : page * 4096 + 200] = os.urandom(200)
    library.path.write_bytes(content)
    with pytest.raises(DatabaseUnfit, match="db restore --new"):
        Library.open(library.path)
    assert library.path.read_bytes() == bytes(content)
    with open_readonly(library.path) as readable:
        assert readable.check() != []


def test_a_locked_library_is_waited_for_and_then_said_to_be_locked(library: Library) -> None:
    other = sqlite3.connect(library.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with Library.open(library.path, busy_timeout_s=0.05) as second:
            with pytest.raises(EnvironmentUnfit, match="locked by another program") as caught:
                second.writing().__enter__()
            assert isinstance(caught.value, Transient)  # the daemon goes on; a command ends
    finally:
        other.close()


def test_a_new_library_locked_by_another_program_is_said_to_be_locked(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(EnvironmentUnfit, match="locked by another program"):
            Library.open(path, busy_timeout_s=0.05)
    finally:
        other.close()


def test_a_library_that_another_program_creates_at_the_same_moment_is_waited_for(tmp_path: Path) -> None:
    """SQLite itself does not wait for a lock when it changes the way of journalling."""
    place = tmp_path / "library.db"
    other = sqlite3.connect(place, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.3, other.close)
    release.start()
    with Library.open(place) as library:
        assert library.check() == []
    release.join()


def test_a_full_disk_is_named_and_nothing_is_half_written(library: Library) -> None:
    with library.snapshot() as snapshot:
        (pages,) = snapshot.execute("PRAGMA page_count").fetchone()

    def fill() -> None:
        with library.writing() as session:
            session.execute(text(f"PRAGMA max_page_count = {pages + 2}"))  # SQLite's own SQLITE_FULL
            for number in range(3000):
                put_note(session, f"note {number}", "x" * 500, NOW)

    with pytest.raises(NoSpace, match="full"):
        fill()
    with library.snapshot() as snapshot:
        assert snapshot.execute("SELECT count(*) FROM notes WHERE key <> 'library'").fetchone() == (0,)
    assert library.check() == []


def test_a_backup_taken_while_in_use_is_whole_private_and_opens(library: Library, tmp_path: Path) -> None:
    with library.writing() as session:
        put_note(session, "kept", {"a": 1}, NOW)
    copy = tmp_path / "copy.db"
    library.backup(copy)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "data"]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with Library.open(copy) as restored, restored.snapshot() as snapshot:
        assert snapshot.execute("SELECT key FROM notes WHERE key <> 'library'").fetchall() == [("kept",)]
        assert snapshot.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_backup_never_replaces_the_library_itself(library: Library) -> None:
    with pytest.raises(EnvironmentUnfit, match="library itself"):
        library.backup(library.path)
    with pytest.raises(EnvironmentUnfit, match="library itself"):
        library.backup(library.path.parent)


def test_a_backup_into_a_missing_folder_says_so(library: Library, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentUnfit, match="No such file"):
        library.backup(tmp_path / "nowhere" / "copy.db")


def test_the_check_names_a_row_that_points_nowhere(library: Library) -> None:
    raw = sqlite3.connect(library.path)
    raw.execute("INSERT INTO folders (root_id, path) VALUES (99, '/x')")
    raw.commit()
    raw.close()
    assert library.check() == ["row 1 of folders points to a row of roots that is not there"]


def test_looking_leaves_no_file_behind_and_refuses_to_write(library: Library) -> None:
    library.close()
    with open_readonly(library.path) as looking, looking.snapshot() as snapshot:
        assert snapshot.execute("SELECT count(*) FROM photos").fetchone() == (0,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            snapshot.execute("DELETE FROM photos")
    left = sorted(path.name for path in library.path.parent.iterdir())
    assert left == ["library.db", "library.db.closed"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_library_in_a_folder_that_cannot_be_written_can_be_read(library: Library) -> None:
    library.close()
    library.path.parent.chmod(0o500)
    try:
        with open_readonly(library.path) as looking:
            assert looking.check() == []
    finally:
        library.path.parent.chmod(0o700)


def test_looking_beside_a_writer_sees_the_last_whole_transaction(library: Library) -> None:
    with library.writing() as session:
        put_note(session, "one", 1, NOW)
    with library.writing() as session:
        put_note(session, "two", 2, NOW)
        with open_readonly(library.path) as looking, looking.snapshot() as snapshot:
            assert snapshot.execute("SELECT key FROM notes WHERE key <> 'library'").fetchall() == [("one",)]


def test_looking_needs_no_sqlalchemy_because_status_must_start_at_once() -> None:
    program = (
        "import sys; from maclip_daemon.library.storage import open_readonly;"
        "from maclip_daemon.library.queries import rankings, status, distribution;"
        "sys.exit(any(name in sys.modules for name in ('sqlalchemy', 'alembic', 'numpy', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
