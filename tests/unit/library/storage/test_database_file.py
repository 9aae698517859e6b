"""The library's file: as it was left, still there, set aside and restored; on real files."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from maclip_daemon.errors import DatabaseUnfit, EnvironmentUnfit
from maclip_daemon.library.restore import restore_database
from maclip_daemon.library.storage import connections, recovery_hints
from maclip_daemon.library.storage.database import Library
from maclip_daemon.library.storage.database_errors import require_free_space
from maclip_daemon.library.storage.database_file import clean_shutdown, orphaned_database
from maclip_daemon.library.storage.database_file.file_guard import DatabaseFileChanged
from maclip_daemon.library.storage.notes import put_note
from maclip_daemon.library.storage.open_readonly import open_readonly

NOW = 1_780_000_000.0
MOMENT = datetime(2026, 6, 1, 12, 30)


def test_a_library_counts_as_it_was_left_only_while_nobody_wrote_to_it(library: Library) -> None:
    assert not clean_shutdown.is_clean(library.path)
    library.close()
    assert clean_shutdown.is_clean(library.path)
    with Library.open(library.path) as again:
        with again.writing() as session:
            put_note(session, "state", 1, NOW)
        assert not clean_shutdown.is_clean(library.path)  # its log holds more than the file
    assert clean_shutdown.is_clean(library.path)
    library.path.touch()
    assert not clean_shutdown.is_clean(library.path)


def test_a_library_that_answered_with_damage_is_not_marked_as_sound(library: Library) -> None:
    with library.writing() as session:
        for number in range(2000):
            put_note(session, f"note {number}", "x" * 200, NOW)
    library.close()
    with Library.open(library.path) as opened:
        content = bytearray(library.path.read_bytes())
        middle = len(content) // 8192 * 4096
        content[middle : middle + 8192] = b"\xff" * 8192
        with library.path.open("r+b") as file:
            file.write(content)
        with pytest.raises(DatabaseUnfit, match="damaged"), opened.reading() as session:
            session.connection().exec_driver_sql("SELECT sum(length(value)) FROM notes").fetchall()
    assert not clean_shutdown.is_clean(library.path)


def test_a_removed_library_is_rescued_and_never_made_again(library: Library) -> None:
    with library.writing() as session:
        put_note(session, "kept", 1, NOW)
    for path in library.path.parent.glob("library.db*"):
        path.unlink()
    for _ in range(2):
        with pytest.raises(DatabaseUnfit, match="was removed"):
            library.writing().__enter__()
    assert not library.path.exists()
    (rescued,) = library.path.parent.glob("*.rescued.backup.db")
    with closing(sqlite3.connect(rescued)) as connection:
        assert connection.execute("SELECT key FROM notes WHERE key <> 'library'").fetchall() == [("kept",)]


@pytest.mark.parametrize("copied", [0, 20_000], ids=["emptied", "half copied"])
@pytest.mark.parametrize("use", ["reading", "snapshot", "writing"])
def test_a_library_that_is_being_overwritten_is_called_so_whoever_meets_it_first(
    library: Library, tmp_path: Path, copied: int, use: str
) -> None:
    with library.writing() as session:
        for number in range(2000):
            put_note(session, f"note {number}", "x" * 200, NOW)
    library.backup(tmp_path / "backup.db")
    library.close()
    with Library.open(library.path) as opened:
        content = (tmp_path / "backup.db").read_bytes()[:copied]
        opened.path.write_bytes(content)  # the file stays, as with `cp`
        with pytest.raises(DatabaseUnfit, match=r"was overwritten .* nothing more is written"):
            _read_all(opened, use)
        assert opened.path.read_bytes() == content


def _read_all(opened: Library, use: str) -> None:
    count = "SELECT sum(length(value)) FROM notes"
    if use == "snapshot":
        with opened.snapshot() as connection:
            connection.execute(count).fetchall()
        return
    with getattr(opened, use)() as session:
        session.connection().exec_driver_sql(count).fetchall()


def test_restoring_sets_the_present_library_aside_and_refuses_what_is_no_backup(
    library: Library, tmp_path: Path
) -> None:
    backup = tmp_path / "copy.db"
    library.backup(backup)
    with library.writing() as session:
        put_note(session, "later", 1, NOW)
    library.close()
    present = library.path.read_bytes()
    broken = tmp_path / "broken.db"
    broken.write_bytes(backup.read_bytes()[:8192])
    for unfit, error in ((broken, DatabaseUnfit), (tmp_path / "none.db", EnvironmentUnfit)):
        with pytest.raises(error), restore_database.restoring(library.path, unfit) as ready:
            ready.take_place(MOMENT)
        assert library.path.read_bytes() == present
    with restore_database.restoring(library.path, backup) as ready:
        aside = ready.take_place(MOMENT)
    assert aside is not None
    assert (aside / "library.db").read_bytes() == present
    assert library.path.read_bytes() == backup.read_bytes()
    with Library.open(library.path) as restored, restored.snapshot() as snapshot:
        assert snapshot.execute("SELECT count(*) FROM notes WHERE key <> 'library'").fetchone() == (0,)


def test_a_stray_log_is_refused_before_sqlite_can_use_or_remove_it(library: Library) -> None:
    library.close()
    log = library.path.with_name("library.db-wal")
    log.write_bytes(b"somebody's last changes")
    shutil.move(library.path, library.path.with_name("elsewhere.db"))
    for open_it in (Library.open, open_readonly):
        with pytest.raises(DatabaseUnfit, match="another library"):
            open_it(library.path)
    assert log.read_bytes() == b"somebody's last changes"
    assert not library.path.exists()


def test_the_log_that_grew_beside_a_long_reader_gives_its_room_back(library: Library) -> None:
    def write(number: int) -> None:
        with library.writing() as session:
            put_note(session, f"note {number}", "x" * (4 << 20), NOW)

    log = library.path.with_name("library.db-wal")
    with closing(sqlite3.connect(library.path, isolation_level=None)) as snapshot:
        snapshot.execute("BEGIN")
        snapshot.execute("SELECT count(*) FROM notes WHERE key <> 'library'").fetchall()
        for number in range(6):
            write(number)
        assert log.stat().st_size > connections.LOG_BYTES
    for number in (6, 7):  # the first empties the log, the second begins it anew
        write(number)
    assert log.stat().st_size <= connections.LOG_BYTES


def test_the_check_for_free_space_leaves_no_file(library: Library) -> None:
    before = sorted(library.path.parent.iterdir())
    require_free_space(library.path)
    assert sorted(library.path.parent.iterdir()) == before


def test_the_cure_names_the_newest_backup_quoted_for_a_shell(tmp_path: Path) -> None:
    library = tmp_path / "my photos" / "library.db"
    library.parent.mkdir()
    assert "db restore --new`" in recovery_hints.damaged_hint(library)
    backup = library.with_name("library-2026.backup.db")
    backup.touch()
    command = f"`maclip --data-dir '{library.parent}' db restore '{backup}'`"
    assert command in recovery_hints.damaged_hint(library)
    of_the_future = library.with_name("library-2031.backup.db")
    of_the_future.touch()
    os.utime(of_the_future, (4e9, 4e9))
    assert command in recovery_hints.damaged_hint(library), "a clock was ahead"


@pytest.mark.parametrize("is_full", [False, True])
def test_the_log_of_an_overwritten_library_is_kept_where_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_full: bool
) -> None:
    def full(_source: Path, target: Path) -> None:
        if is_full or target.parent == folder:
            raise OSError(errno.ENOSPC, "No space left on device")
        target.write_bytes(b"the last changes")

    folder, temporary = tmp_path / "data", tmp_path / "temporary"
    folder.mkdir()
    temporary.mkdir()
    library, log = folder / "library.db", folder / "library.db-wal"
    library.write_bytes(b"another")
    log.write_bytes(b"the last changes")
    monkeypatch.setattr(orphaned_database.shutil, "copyfile", full)
    monkeypatch.setattr(orphaned_database.tempfile, "gettempdir", lambda: str(temporary))
    changed = DatabaseFileChanged("was overwritten", is_intact=False)
    told = str(orphaned_database.preserve(library, changed, None))
    assert log.read_bytes() == b""
    assert sorted(path.name for path in folder.iterdir()) == ["library.db", "library.db-wal"]
    kept = list(temporary.iterdir())
    if is_full:
        assert kept == []
        assert "could not be saved" in told
    else:
        assert kept[0].read_bytes() == b"the last changes"
        assert str(kept[0]) in told
