"""A restored backup, or a new library, takes over the journal of the library in use."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from found_file import NOW, Found
from sqlalchemy import text
from sqlalchemy.orm import Session

from maclip_daemon.errors import EnvironmentUnfit
from maclip_daemon.library.photos import photo_info, photo_records, photo_succession, root_records
from maclip_daemon.library.photos.photo_info import PhotoInfo
from maclip_daemon.library.queue import rating_holds, rating_queue
from maclip_daemon.library.restore import restore_database
from maclip_daemon.library.restore.former_library import FormerLibrary, Row
from maclip_daemon.library.restore.journal_merge import MergeReport
from maclip_daemon.library.results import decided_files, decisions, rating_journal
from maclip_daemon.library.results.decided_files import DecidedFile
from maclip_daemon.library.results.decisions import NewDecision, StoredDecision
from maclip_daemon.library.storage.database import Library
from maclip_daemon.library.storage.database_errors import DatabaseBusy
from maclip_daemon.library.storage.library_identity import library_ids
from maclip_daemon.library.storage.open_readonly import ReadOnlyLibrary, open_readonly
from maclip_daemon.pipeline.commands import restore_library

MOMENT = datetime(2026, 6, 1, 12, 30)
RATINGS = "SELECT file_name, rating_owner, stars_written, rating_undone_at IS NOT NULL FROM photos ORDER BY 1"
JOURNAL = "SELECT target_path, state, stars_written, photo_id IS NOT NULL FROM rating_journal ORDER BY id"


class Used:
    """A library in use, with photos that were rated."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.path = library.path
        self.number = 100

    def add(self, path: str, pixels: str | None = None) -> int:
        self.number += 1
        with self.library.writing() as session:
            root = root_records.root_for(session, "/photos", NOW)
            found = Found(path, inode=self.number)
            photo = photo_records.record_file(session, root, found, NOW).photo_id
            if pixels is not None:
                photo_info.set_photo_info(session, {photo: PhotoInfo(6, 4, None, pixels)})
        return photo

    def write(self, photo: int, target: str, stars: int, before: str | None = None) -> int:
        with self.library.writing() as session:
            entry = rating_journal.intend(
                session,
                photo,
                target,
                "sidecar",
                before_hash=before,
                after_hash=f"{target} {stars}",
                restore=b"how to get back",
                stars_before=None,
                stars_written=stars,
                now=NOW + stars,
            )
            rating_journal.confirm(session, entry, NOW + stars)
        return entry

    def undo(self, *entries: int) -> None:
        with self.library.writing() as session:
            rating_journal.mark_undone(session, entries, NOW + 10)

    def restore(self, backup: Path | None) -> MergeReport:
        self.library.close()
        with restore_database.restoring(self.path, backup) as ready:
            ready.take_place(MOMENT)
        return ready.report

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with Library.open(self.path) as library, library.reading() as session:
            assert library.check() == []
            return [tuple(row) for row in session.execute(text(query))]


@pytest.fixture
def used(library: Library) -> Used:
    return Used(library)


def test_what_was_written_undone_and_decided_after_the_backup_is_merged(used: Used, tmp_path: Path) -> None:
    kept, undone, persons = (used.add(f"/photos/{name}.jpg", name) for name in ("kept", "undone", "persons"))
    used.write(kept, "/photos/kept.jpg.xmp", 2)
    entry = used.write(undone, "/photos/undone.jpg.xmp", 3)
    used.write(persons, "/photos/persons.jpg.xmp", 4)
    used.library.backup(tmp_path / "backup.db")
    used.write(kept, "/photos/kept.jpg.xmp", 5, before="/photos/kept.jpg.xmp 2")
    used.undo(entry)
    with used.library.writing() as session:
        photo_records.set_rating(session, persons, 1, "person")
    later = used.add("/photos/later.jpg", "later")
    used.write(later, "/photos/later.jpg.xmp", 1)
    report = used.restore(tmp_path / "backup.db")
    assert (report.added, report.changed, report.ratings) == (2, 1, 3)
    assert report.is_complete
    assert used.rows(RATINGS) == [
        ("kept.jpg", "maclip", 5, 0),
        ("persons.jpg", "person", 4, 0),
        ("undone.jpg", "none", None, 1),
    ]
    assert used.rows(JOURNAL) == [
        ("/photos/kept.jpg.xmp", "written", 2, 1),
        ("/photos/undone.jpg.xmp", "undone", 3, 1),
        ("/photos/persons.jpg.xmp", "written", 4, 1),
        ("/photos/kept.jpg.xmp", "written", 5, 1),
        ("/photos/later.jpg.xmp", "written", 1, 0),  # found again by the next run
    ]
    pixels = "SELECT pixel_hash FROM rating_journal WHERE photo_id IS NULL"
    assert used.rows(pixels) == [("later",)]


def test_a_backup_that_lacks_nothing_comes_back_byte_for_byte(used: Used, tmp_path: Path) -> None:
    used.write(used.add("/photos/a.jpg", "a"), "/photos/a.jpg.xmp", 2)
    with used.library.writing() as session:
        rating_queue.enqueue(session, NOW, again=True)
    used.library.backup(tmp_path / "backup.db")
    assert used.restore(tmp_path / "backup.db") == MergeReport()
    assert used.path.read_bytes() == (tmp_path / "backup.db").read_bytes()


@pytest.mark.parametrize("has_backup", [True, False])
def test_what_rate_ended_after_the_backup_stays_ended(used: Used, tmp_path: Path, has_backup: bool) -> None:
    for name in ("purged", "missing"):
        used.undo(used.write(used.add(f"/photos/{name}.jpg", name), f"/photos/{name}.jpg.xmp", 2))
    with used.library.writing() as session:
        session.execute(text("DELETE FROM photos WHERE file_name = 'purged.jpg'"))
    used.library.backup(tmp_path / "backup.db")
    with used.library.writing() as session:
        rating_queue.enqueue(session, NOW + 20, again=True)
    used.restore(tmp_path / "backup.db" if has_backup else None)
    with Library.open(used.path) as used.library:
        photos = [used.add(f"/photos/{name}.jpg", name) for name in ("purged", "missing")]
        with used.library.writing() as session:
            photo_succession.claim_forgotten(session, photos)
    assert used.rows(RATINGS) == [("missing.jpg", "none", None, 0), ("purged.jpg", "none", None, 0)]


@pytest.mark.parametrize("is_backup_of_before", [True, False])
def test_what_was_undone_stays_so_though_the_clock_was_ahead_before(
    used: Used, tmp_path: Path, is_backup_of_before: bool
) -> None:
    """The end of all holds and the write have the times of a clock that was two hours ahead."""
    photo = used.add("/photos/a.jpg", "a")
    if is_backup_of_before:
        used.library.backup(tmp_path / "backup.db")
    with used.library.writing() as session:
        rating_queue.enqueue(session, NOW + 7200, again=True)
        entry = rating_journal.intend(
            session, photo, "/photos/a.jpg.xmp", "sidecar", before_hash=None, after_hash="ours",
            restore=b"", stars_before=None, stars_written=3, now=NOW + 7201,
        )  # fmt: skip
        rating_journal.confirm(session, entry, NOW + 7201)
    if not is_backup_of_before:
        used.library.backup(tmp_path / "backup.db")
    with used.library.writing() as session:
        rating_holds.hold(session, [], NOW + 60)
        rating_journal.mark_undone(session, [entry], NOW + 60)
    used.restore(tmp_path / "backup.db")
    assert used.rows(RATINGS) == [("a.jpg", "none", None, 1)]
    assert used.rows(JOURNAL) == [("/photos/a.jpg.xmp", "undone", 3, 1)]


def test_the_end_of_all_holds_counts_though_the_clock_was_ahead_at_the_undo(
    used: Used, tmp_path: Path
) -> None:
    photo = used.add("/photos/a.jpg", "a")
    entry = used.write(photo, "/photos/a.jpg.xmp", 3)
    with used.library.writing() as session:
        rating_journal.mark_undone(session, [entry], NOW + 7200)
        rating_queue.enqueue(session, NOW + 60, again=True)
        session.execute(text("DELETE FROM photos"))
    again = used.add("/photos/a.jpg", "a")
    with used.library.writing() as session:
        photo_succession.claim_forgotten(session, [again])
    assert used.rows(RATINGS) == [("a.jpg", "none", None, 0)]


def test_entries_of_a_renamed_photo_are_known_by_their_pixels(used: Used, tmp_path: Path) -> None:
    photo = used.add("/photos/a.jpg", "a")
    used.write(photo, "/photos/a.jpg.xmp", 2)
    used.library.backup(tmp_path / "backup.db")
    with used.library.writing() as session:
        root = root_records.root_for(session, "/photos", NOW)
        moved = Found("/photos/b.jpg", inode=used.number)
        photo_records.record_file(session, root, moved, NOW, is_gone="/photos/a.jpg".__eq__)
    used.write(photo, "/photos/b.jpg.xmp", 3, before="/photos/a.jpg.xmp 2")
    used.restore(tmp_path / "backup.db")
    assert used.rows(JOURNAL) == [
        ("/photos/b.jpg.xmp", "written", 2, 1),
        ("/photos/b.jpg.xmp", "written", 3, 1),
    ]
    assert used.rows(RATINGS) == [("a.jpg", "maclip", 3, 0)]  # the next scan finds it under its new name


def test_a_new_library_begins_with_the_journal_and_another_id(used: Used) -> None:
    used.write(used.add("/photos/a.jpg", "a"), "/photos/a.jpg.xmp", 2)
    with used.library.reading() as session:
        before = library_ids(session)
    report = used.restore(None)
    assert (report.added, report.is_complete) == (1, True)
    assert used.rows(JOURNAL) == [("/photos/a.jpg.xmp", "written", 2, 0)]
    assert used.rows("SELECT * FROM photos") == used.rows("SELECT * FROM roots") == []
    with Library.open(used.path) as library, library.reading() as session:
        ids = library_ids(session)
    assert ids.own != before.own
    assert ids.former == {before.own}


def test_a_restored_backup_keeps_its_id(used: Used, tmp_path: Path) -> None:
    with used.library.reading() as session:
        before = library_ids(session)
    used.library.backup(tmp_path / "backup.db")
    used.write(used.add("/photos/a.jpg", "a"), "/photos/a.jpg.xmp", 2)
    used.restore(tmp_path / "backup.db")
    with Library.open(used.path) as library, library.reading() as session:
        assert library_ids(session) == before


def damage_the_photos(library: Path) -> None:
    """Overwrite the pages of the photos, none of those of the journal."""
    with closing(sqlite3.connect(library)) as connection:
        ((root,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'photos'")
    with library.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(os.urandom(4096))


def cut_the_end_off(library: Path) -> None:
    os.truncate(library, library.stat().st_size - 4096)


@pytest.mark.parametrize("damage", [damage_the_photos, cut_the_end_off])
def test_of_a_damaged_library_the_journal_is_read_as_far_as_possible(
    used: Used, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    photo = used.add("/photos/a.jpg", "a")
    used.write(photo, "/photos/a.jpg.xmp", 2)
    used.library.backup(tmp_path / "backup.db")
    used.write(photo, "/photos/a.jpg.xmp", 3)
    used.library.close()
    damage(used.path)
    before = used.path.read_bytes()
    report = used.restore(tmp_path / "backup.db")
    assert report.added == 1
    assert [row[2] for row in used.rows(JOURNAL)] == [2, 3]
    (aside,) = used.path.parent.glob("aside-*")
    assert (aside / "library.db").read_bytes() == before


def test_a_library_whose_journal_is_damaged_says_how_much_is_lost(used: Used, tmp_path: Path) -> None:
    photo = used.add("/photos/a.jpg", "a")
    used.library.backup(tmp_path / "backup.db")
    for number in range(200):
        used.write(photo, f"/photos/{number:0200}.jpg.xmp", 3)
    used.library.close()
    content = used.path.read_bytes()
    pages = range(0, len(content), 4096)
    leaves = [at for at in pages if content[at] == 13 and b"how to get back" in content[at : at + 4096]]
    with used.path.open("r+b") as file:
        file.seek(leaves[3])
        file.write(os.urandom(4096))
    report = used.restore(tmp_path / "backup.db")
    assert not report.is_complete
    assert 0 < report.unreadable < 30
    assert report.added + report.unreadable == 200


def test_what_is_no_library_any_more_is_set_aside_and_said_to_be_unreadable(
    used: Used, tmp_path: Path
) -> None:
    used.library.backup(tmp_path / "backup.db")
    used.library.close()
    used.path.write_bytes(os.urandom(20_000))
    assert not used.restore(tmp_path / "backup.db").is_readable
    assert used.rows("SELECT * FROM photos") == []


@pytest.fixture
def old_library(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "old" / "library.db"
    path.parent.mkdir()
    dump = Path(__file__).parents[1] / "storage" / "library_0003.sql"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(dump.read_text(encoding="utf-8"))
        connection.execute(f"PRAGMA application_id = {0x4D41434C}")
    return path


def test_a_backup_of_an_earlier_version_takes_over_the_journal_too(
    used: Used, old_library: Path, tmp_path: Path
) -> None:
    shutil.copyfile(old_library, tmp_path / "backup.db")
    used.write(used.add("/photos/a.jpg", "a"), "/photos/a.jpg.xmp", 2)
    assert used.restore(tmp_path / "backup.db").added == 1
    assert [row[0] for row in used.rows(JOURNAL)] == ["/photos/a/IMG_1.jpg.xmp", "/photos/a.jpg.xmp"]


def test_the_journal_of_a_library_of_an_earlier_version_is_taken_over(old_library: Path) -> None:
    with restore_database.restoring(old_library, None) as ready:
        ready.take_place(MOMENT)
    with Library.open(old_library) as library, library.reading() as session:
        entries = [tuple(row) for row in session.execute(text(JOURNAL))]
        pixels = session.execute(text("SELECT pixel_hash FROM rating_journal")).scalar_one()
    assert entries == [("/photos/a/IMG_1.jpg.xmp", "written", 4, 0)]
    assert pixels == "hash 1"


@pytest.mark.parametrize("fault", ["the copy", "the library"])
def test_where_the_copy_cannot_take_its_place_the_library_is_back_at_its_own(
    used: Used, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """The disk fails at the last renames; before, the next start found no library, and began a new one."""
    used.write(used.add("/photos/a.jpg", "a"), "/photos/a.jpg.xmp", 2)
    used.library.close()
    Path(f"{used.path}.closed").touch()
    before = {path.name: path.read_bytes() for path in used.path.parent.iterdir() if path.is_file()}
    rename = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if fault == "the library" and path == used.path:
            raise OSError(errno.ESTALE, "Stale file handle", str(path))
        return rename(path, target)

    with restore_database.restoring(used.path, None) as ready:
        monkeypatch.setattr(Path, "rename", fail)
        if fault == "the copy":
            assert ready.copy is not None
            ready.copy.unlink()
        with pytest.raises(EnvironmentUnfit):
            ready.take_place(MOMENT)
    left = {path.name: path.read_bytes() for path in used.path.parent.iterdir() if path.is_file()}
    assert before.items() <= left.items()
    assert not list(used.path.parent.glob("aside-*"))
    assert used.rows(JOURNAL) == [("/photos/a.jpg.xmp", "written", 2, 1)]


def killed_at(step: int, used: Used, backup: Path) -> int:
    """Restore in a process that is gone at the given rename; return its exit code, 0: it came to its end."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = step

    def kill(original: Callable[..., None]) -> Callable[..., None]:
        def renamed(*names: Path) -> None:
            nonlocal left
            left -= 1
            if not left:
                os._exit(9)
            original(*names)

        return renamed

    try:
        with restore_database.restoring(used.path, backup) as ready:
            os.rename, os.replace = kill(os.rename), kill(os.replace)
            ready.take_place(MOMENT)
        os._exit(0)
    finally:
        os._exit(1)


@pytest.mark.parametrize("opened", [Library.open, open_readonly])
def test_killed_at_any_step_a_restore_leaves_the_former_library_or_the_new_one(
    used: Used, tmp_path: Path, opened: Callable[[Path], Library | ReadOnlyLibrary]
) -> None:
    """Before, the next start found no library, and began a new one."""
    used.library.backup(tmp_path / "backup.db")
    used.write(used.add("/photos/a.jpg", "a"), "/photos/a.jpg.xmp", 2)
    used.library.close()
    Path(f"{used.path}.closed").touch()
    before = used.path.read_bytes()
    code, step = 9, 0
    while code == 9:
        step += 1
        code = killed_at(step, used, tmp_path / "backup.db")
        with closing(opened(used.path)) as library, library.snapshot() as snapshot:
            assert snapshot.execute(JOURNAL).fetchall()[-1][0] == "/photos/a.jpg.xmp"
        asides = list(used.path.parent.glob("aside-*"))
        if asides:
            assert [(each / "library.db").read_bytes() for each in asides] == [before]
        else:
            assert used.path.read_bytes()[:100] == before[:100]
        hidden = [each.suffix for each in used.path.parent.glob(".library*")]
        assert hidden in ([], [".partial"]), "only the copy of the last killed process may lie there"
        if asides and code == 9:
            break  # the new library has its place
    assert code in (0, 9)
    assert step > 2


def test_while_one_process_replaces_the_library_another_does_not_end_its_work(used: Used) -> None:
    used.library.close()
    folder = used.path.with_name(".library.db.former")
    folder.mkdir()
    held = os.open(folder, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(DatabaseBusy, match="db restore"):
        Library.open(used.path)
    os.close(held)
    Library.open(used.path).close()
    assert not folder.exists()


def decide(used: Used, photo: int, rating: int | None, pick: bool | None = None) -> StoredDecision:
    with used.library.writing() as session:
        return decisions.add(session, [NewDecision(photo, rating, pick)], "a review", NOW + 1)[0]


WAITING = (
    "SELECT file_name, rating, pick FROM decisions d JOIN photos p ON p.id = d.photo_id"
    " WHERE {} ORDER BY d.id"
)


def test_decisions_that_wait_come_along_and_what_the_backup_had_waiting_does_not_return(
    used: Used, tmp_path: Path
) -> None:
    a, b, c = (used.add(f"/photos/{name}.jpg", name) for name in "abc")
    in_both, since_written = decide(used, a, 2), decide(used, b, 1)
    used.library.backup(tmp_path / "backup.db")
    with used.library.writing() as session:
        decisions.settle(session, since_written.id, "written", None, NOW + 2)
        decided_files.record_file(session, in_both.id, DecidedFile("/photos/a.jpg.xmp", None, "after", b"x"))
    later = decide(used, c, 5, True)
    with used.library.writing() as session:
        decided_files.record_file(session, later.id, DecidedFile("/photos/c.jpg.xmp", None, "after", b"x"))
    assert used.restore(tmp_path / "backup.db").decisions_left == 0
    assert used.rows(WAITING.format("d.state = 'waiting'")) == [("a.jpg", 2, None), ("c.jpg", 5, 1)]
    assert used.rows("SELECT state FROM decisions WHERE photo_id = 2") == [("written",)]
    assert used.rows("SELECT target_path FROM decision_files ORDER BY 1") == [
        ("/photos/a.jpg.xmp",),
        ("/photos/c.jpg.xmp",),
    ]
    assert used.rows("SELECT count(*) FROM decisions WHERE press NOT IN (SELECT id FROM decisions)") == [(0,)]


def test_picks_of_after_the_backup_come_along_and_a_new_library_says_what_it_leaves(
    used: Used, tmp_path: Path
) -> None:
    picked, waits = used.add("/photos/a.jpg", "a"), used.add("/photos/b.jpg", "b")
    used.library.backup(tmp_path / "backup.db")
    with used.library.writing() as session:
        decisions.record_written(session, decide_stored(session, picked))
    decide(used, waits, 5)
    with restore_database.restoring(used.path, None) as ready:
        assert ready.report.decisions_left == 1
        (warning,) = restore_library.warnings(ready.report, [], is_new=True)
        assert "1 decision that you made" in warning
    used.restore(tmp_path / "backup.db")
    assert used.rows("SELECT file_name, is_picked FROM photos ORDER BY 1") == [("a.jpg", 1), ("b.jpg", 0)]


def decide_stored(session: Session, photo: int) -> StoredDecision:
    (stored,) = decisions.add(session, [NewDecision(photo, None, True)], "a review", NOW + 1)
    decisions.settle(session, stored.id, "written", None, NOW + 1)
    return stored


def test_what_was_decided_and_written_after_the_backup_counts_as_such(used: Used, tmp_path: Path) -> None:
    photo = used.add("/photos/a.jpg", "a")
    used.library.backup(tmp_path / "backup.db")
    decided = decide(used, photo, 5)
    with used.library.writing() as session:
        decided_files.record_file(session, decided.id, DecidedFile("/photos/a.jpg.xmp", None, "after", b"x"))
        decisions.settle(session, decided.id, "written", None, NOW + 2)
    used.restore(tmp_path / "backup.db")
    with Library.open(used.path) as library, library.reading() as session:
        assert decided_files.with_decisions(session) == {"/photos/a.jpg.xmp"}


def test_a_damaged_decision_costs_no_other_and_a_pick_taken_back_stays_so(used: Used, tmp_path: Path) -> None:
    damaged, whole, picked = (used.add(f"/photos/{name}.jpg", name) for name in "abc")
    with used.library.writing() as session:
        session.execute(text("UPDATE photos SET is_picked = 1 WHERE file_name = 'c.jpg'"))
    used.library.backup(tmp_path / "backup.db")
    decide(used, damaged, 5)
    decide(used, whole, 4)
    with used.library.writing() as session:
        session.execute(text("UPDATE photos SET is_picked = 0"))
    used.library.close()
    with closing(sqlite3.connect(used.path)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = 1")
        connection.execute("UPDATE decisions SET rating = 77 WHERE photo_id = 1")
        connection.commit()
    assert used.restore(tmp_path / "backup.db").decisions_left == 1
    assert used.rows(WAITING.format("d.state = 'waiting'")) == [("b.jpg", 4, None)]
    assert used.rows("SELECT sum(is_picked) FROM photos") == [(0,)]
    assert picked


@pytest.mark.parametrize("is_waiting", [True, False])
def test_damaged_decisions_of_the_library_in_use_end_none_of_the_backup(
    used: Used, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_waiting: bool
) -> None:
    photo = used.add("/photos/a.jpg", "a")
    decision = decide(used, photo, 5)
    with used.library.writing() as session:
        decided_files.record_file(session, decision.id, DecidedFile("/photos/a.jpg.xmp", None, "after", b"x"))
        if not is_waiting:
            decisions.settle(session, decision.id, "written", None, NOW + 2)
    used.library.backup(tmp_path / "backup.db")
    if is_waiting:
        read = FormerLibrary._range

        def broken(self: FormerLibrary, table: str, *range_: object) -> list[Row]:
            if table != "decisions":
                return read(self, table, *range_)  # type: ignore[arg-type]
            self._note_unreadable(table, 1)
            return []

        monkeypatch.setattr(FormerLibrary, "_range", broken)
    else:
        with used.library.writing() as session:
            session.execute(text("DROP TABLE decision_files"))
    with restore_database.restoring(used.path, tmp_path / "backup.db") as ready:
        assert ready.report.decisions_unreadable == 1
        assert not ready.report.is_complete
        assert any("1 decision" in line for line in restore_library.warnings(ready.report, [], is_new=False))
        used.library.close()
        ready.take_place(MOMENT)
    assert used.rows("SELECT state FROM decisions") == [("waiting" if is_waiting else "written",)]
    assert used.rows("SELECT target_path FROM decision_files") == [("/photos/a.jpg.xmp",)]
