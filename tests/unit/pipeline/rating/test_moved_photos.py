"""Photos under another path: recognised by their pixels, and never taken for another one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from maclip_daemon.library.queue import rating_holds, rating_queue
from maclip_daemon.library.results import rating_journal
from maclip_daemon.pipeline.rating import moved_photos
from tests.rated_library import RatedLibrary

RATINGS = "select file_name, rating_owner, stars_written, rating_undone_at is not null from photos order by 1"
JOURNAL = "select target_path, state, photo_id from rating_journal order by id"
OTHER_DEVICE = "update photos set device = 12345 where file_name like '%a.jpg'"


class Moving:
    """A library whose photos have the pixels that their names begin with."""

    def __init__(self, rated: RatedLibrary) -> None:
        self.rated = rated
        self.folder = rated.folder

    def add(self, name: str, pixels: str = "p", *, missing: bool = False) -> int:
        photo = self.rated.add(name)
        state = ", state = 'missing'" if missing else ""
        self.rated.write(f"update photos set pixel_hash = '{pixels}'{state} where id = {photo}")
        if missing:
            (self.folder / name).unlink()
        return photo

    def write(
        self, photo: int, name: str, stars: int = 3, kind: rating_journal.TargetKind = "sidecar"
    ) -> int:
        target = str(self.folder / name) + (".xmp" if kind == "sidecar" else "")
        with self.rated.library.writing() as session:
            entry = rating_journal.intend(
                session,
                photo,
                target,
                kind,
                before_hash=None,
                after_hash=f"{stars}",
                restore=b"back",
                stars_before=None,
                stars_written=stars,
                now=self.rated.now,
            )
            rating_journal.confirm(session, entry, self.rated.now)
        return entry

    def undo(self, *entries: int) -> None:
        with self.rated.library.writing() as session:
            rating_journal.mark_undone(session, entries, self.rated.now)

    def follow(self, *photos: int) -> None:
        moved_photos.follow(self.rated.library, self.rated.state.probe, photos)

    def journal(self) -> list[tuple[str, str, int | None]]:
        return [
            (os.path.relpath(target, self.folder), state, photo)
            for target, state, photo in self.rated.rows(JOURNAL)
        ]


@pytest.fixture
def moving(rated: RatedLibrary) -> Moving:
    return Moving(rated)


def test_journal_and_stars_follow_to_another_folder_and_the_former_row_goes(moving: Moving) -> None:
    before = moving.add("x/a.jpg", missing=True)
    moving.write(before, "x/a.jpg", 4)
    after = moving.add("y/a.jpg")
    moving.follow(after)
    assert moving.journal() == [("y/a.jpg.xmp", "written", after)]
    assert moving.rated.rows(RATINGS) == [("a.jpg", "maclip", 4, 0)]


def test_a_photo_that_is_gone_but_not_yet_known_to_be_missing_is_followed_too(moving: Moving) -> None:
    before = moving.add("x/a.jpg")
    moving.write(before, "x/a.jpg")
    (moving.folder / "x/a.jpg").unlink()
    after = moving.add("y/a.jpg")
    moving.follow(after)
    assert moving.journal() == [("y/a.jpg.xmp", "written", after)]


def test_a_copy_keeps_its_own_state(moving: Moving) -> None:
    before = moving.add("x/a.jpg")
    moving.write(before, "x/a.jpg")
    moving.follow(moving.add("y/a.jpg"))
    assert moving.journal() == [("x/a.jpg.xmp", "written", before)]
    assert moving.rated.rows(RATINGS) == [("a.jpg", "maclip", 3, 0), ("a.jpg", "none", None, 0)]


def test_nothing_is_followed_while_the_folder_of_both_is_away(moving: Moving) -> None:
    before = moving.add("x/a.jpg")
    moving.write(before, "x/a.jpg")
    after = moving.add("y/a.jpg")
    away = moving.folder.rename(moving.folder.with_name("away"))
    moving.follow(after)
    assert moving.journal() == [("x/a.jpg.xmp", "written", before)]
    away.rename(moving.folder)
    moving.follow(after)
    assert moving.journal() == [("x/a.jpg.xmp", "written", before)]


def test_undone_photos_stay_undone_at_their_new_path(moving: Moving) -> None:
    before = moving.add("x/a.jpg", missing=True)
    moving.undo(moving.write(before, "x/a.jpg"))
    moving.follow(moving.add("y/a.jpg"))
    assert moving.rated.rows(RATINGS) == [("a.jpg", "none", None, 1)]


@pytest.mark.parametrize(
    ("names", "new", "expected"),
    [
        (["x/a.jpg", "x/b.jpg"], "y/a.jpg", "x/a.jpg"),
        (["2025/a.jpg", "2026/a.jpg"], "disk/2026/a.jpg", "2026/a.jpg"),
        (["x/a.jpg", "z/a.jpg"], "y/a.jpg", None),
        (["x/a.jpg", "x/b.jpg"], "y/c.jpg", None),
        (["x/a.jpg"], "y/c.jpg", "x/a.jpg"),
        (["x/a.arw"], "y/c.jpg", None),
    ],
)
def test_of_several_gone_photos_none_is_guessed(
    moving: Moving, names: list[str], new: str, expected: str | None
) -> None:
    for stars, name in enumerate(names, start=1):
        moving.write(moving.add(name, missing=True), name, stars)
    after = moving.add(new)
    moving.follow(after)
    stars = None if expected is None else names.index(expected) + 1
    ((found,),) = moving.rated.rows(f"select stars_written from photos where id = {after}")
    assert found == stars
    (count,) = moving.rated.rows("select count(*) from photos")
    assert count == (len(names) + (expected is None),)


def test_of_two_copies_that_came_for_one_photo_the_one_of_its_name_follows_it(moving: Moving) -> None:
    before = moving.add("x/a.jpg", missing=True)
    moving.write(before, "x/a.jpg")
    one, two = moving.add("y/a.jpg"), moving.add("y/a copy.jpg")
    moving.follow(one, two)
    assert moving.journal() == [("y/a.jpg.xmp", "written", one)]


def test_of_two_copies_of_one_name_none_is_guessed(moving: Moving) -> None:
    before = moving.add("x/a.jpg", missing=True)
    moving.write(before, "x/a.jpg")
    moving.follow(moving.add("y/a.jpg"), moving.add("z/a.jpg"))
    assert moving.journal() == [("x/a.jpg.xmp", "written", before)]


def test_what_a_purge_has_left_of_the_journal_is_found_at_the_path_and_by_the_pixels(moving: Moving) -> None:
    for name in ("a.jpg", "x/b.jpg"):
        moving.write(moving.add(name, name, missing=True), name, 5)
    moving.rated.write("delete from photos")
    ids = [moving.add("a.jpg", "a.jpg"), moving.add("y/b.jpg", "x/b.jpg")]
    moving.follow(*ids)
    assert moving.journal() == [("a.jpg.xmp", "written", ids[0]), ("y/b.jpg.xmp", "written", ids[1])]
    assert moving.rated.rows(RATINGS) == [("a.jpg", "maclip", 5, 0), ("b.jpg", "maclip", 5, 0)]


def test_a_purged_photo_whose_rating_was_undone_returns_undone(moving: Moving) -> None:
    moving.undo(moving.write(moving.add("a.jpg", missing=True), "a.jpg"))
    moving.rated.write("delete from photos")
    moving.follow(moving.add("a.jpg"))
    assert moving.rated.rows(RATINGS) == [("a.jpg", "none", None, 1)]


def test_a_purged_photo_does_not_return_undone_once_all_were_to_be_rated_again(moving: Moving) -> None:
    moving.undo(moving.write(moving.add("a.jpg", missing=True), "a.jpg"))
    moving.rated.write("delete from photos")
    with moving.rated.library.writing() as session:
        rating_queue.enqueue(session, moving.rated.now + 1, again=True)
    moving.follow(moving.add("a.jpg"))
    assert moving.rated.rows(RATINGS) == [("a.jpg", "none", None, 0)]
    moving.rated.now += 2
    later = moving.add("b.jpg", "later", missing=True)
    moving.undo(moving.write(later, "b.jpg"))
    moving.rated.write(f"delete from photos where id = {later}")
    moving.follow(moving.add("b.jpg", "later"))
    assert moving.rated.rows(RATINGS) == [("a.jpg", "none", None, 0), ("b.jpg", "none", None, 1)]


def test_a_photo_that_was_undone_again_after_all_were_to_be_rated_returns_undone(moving: Moving) -> None:
    moving.undo(moving.write(moving.add("a.jpg", missing=True), "a.jpg"))
    with moving.rated.library.writing() as session:
        rating_queue.enqueue(session, moving.rated.now + 1, again=True)
        rating_holds.hold(session, [], moving.rated.now + 2)
    moving.rated.write("delete from photos")
    moving.follow(moving.add("a.jpg"))
    assert moving.rated.rows(RATINGS) == [("a.jpg", "none", None, 1)]


def test_a_name_that_is_used_for_another_photo_inherits_nothing(moving: Moving) -> None:
    moving.undo(moving.write(moving.add("a.jpg", "one", missing=True), "a.jpg"))
    moving.rated.write("delete from photos")
    moving.follow(moving.add("a.jpg", "another"))
    assert moving.rated.rows(RATINGS) == [("a.jpg", "none", None, 0)]


def test_the_journal_of_an_offline_disk_stays_there_and_its_decisions_are_kept(moving: Moving) -> None:
    before = moving.add("x/a.jpg", missing=True)
    moving.write(before, "x/a.jpg", 2)
    moving.rated.write(OTHER_DEVICE)
    moving.rated.write("update photos set inode = 1")
    shutil.rmtree(moving.folder / "x")
    after = moving.add("y/a.jpg")
    moving.follow(after)
    assert moving.journal() == [("x/a.jpg.xmp", "written", before)]
    assert moving.rated.rows(RATINGS) == [("a.jpg", "maclip", 2, 0), ("a.jpg", "maclip", 2, 0)]


def test_the_same_file_under_another_device_number_is_the_same_photo(moving: Moving) -> None:
    before = moving.add("x/a.jpg")
    moving.write(before, "x/a.jpg", 2)
    (moving.folder / "y").mkdir()
    (moving.folder / "x/a.jpg").rename(moving.folder / "y/a.jpg")
    moving.rated.write("update photos set device = 12345")
    (photo,) = [_known(moving, "y/a.jpg")]
    moving.follow(photo)
    assert moving.journal() == [("y/a.jpg.xmp", "written", photo)]
    assert moving.rated.rows("select count(*) from photos") == [(1,)]


def test_stars_in_the_photo_itself_follow_as_well(moving: Moving) -> None:
    before = moving.add("x/a.jpg", missing=True)
    moving.write(before, "x/a.jpg", 2, "embed")
    after = moving.add("y/b.jpg")
    moving.follow(after)
    assert moving.journal() == [("y/b.jpg", "written", after)]


def _known(moving: Moving, name: str) -> int:
    """Record a file that is there already."""
    from maclip_daemon.folders.scanner import found_file
    from maclip_daemon.library.photos import photo_records, root_records

    found = found_file(str(Path(moving.folder) / name))
    assert found is not None
    with moving.rated.library.writing() as session:
        root = root_records.root_for(session, str(moving.folder), moving.rated.now)
        photo = photo_records.record_file(session, root, found, moving.rated.now).photo_id
    moving.rated.write(f"update photos set pixel_hash = 'p' where id = {photo}")
    return photo


def test_an_original_that_goes_after_its_copy_was_rated_is_forgotten_with_its_journal(moving: Moving) -> None:
    before, after = moving.add("x/a.jpg"), moving.add("y/a.jpg")
    for photo, name in ((before, "x/a.jpg"), (after, "y/a.jpg")):
        moving.write(photo, name, 3)  # the same bytes
    moving.follow(after)
    assert len(moving.journal()) == 2
    _lose(moving, before, "x/a.jpg")
    assert [row[:2] for row in moving.rated.jobs()] == [("a.jpg", "rate")]
    moving.follow(after)
    assert moving.journal() == [("y/a.jpg.xmp", "written", after)]
    assert moving.rated.rows("select id from photos") == [(after,)]


def test_an_original_with_a_journal_of_its_own_stays_missing(moving: Moving) -> None:
    before, after = moving.add("x/a.jpg"), moving.add("y/a.jpg")
    moving.write(before, "x/a.jpg", 3)
    moving.write(after, "y/a.jpg", 4)
    _lose(moving, before, "x/a.jpg")
    moving.follow(after)
    assert len(moving.journal()) == 2


def test_an_original_on_an_offline_disk_stays_missing(moving: Moving) -> None:
    before, after = moving.add("x/a.jpg"), moving.add("y/a.jpg")
    for photo, name in ((before, "x/a.jpg"), (after, "y/a.jpg")):
        moving.write(photo, name, 3)
    _lose(moving, before, "x/a.jpg")
    moving.rated.write(f"update photos set device = 12345 where id = {before}")
    moving.follow(after)
    assert len(moving.journal()) == 2


def _lose(moving: Moving, photo: int, name: str) -> None:
    from maclip_daemon.library.photos import gone_copies

    (moving.folder / name).unlink()
    with moving.rated.library.writing() as session:
        gone_copies.mark_gone(session, [photo], moving.rated.now)


def test_the_journal_of_an_edited_photo_is_found_by_its_pixels_of_today(moving: Moving) -> None:
    from maclip_daemon.library.photos import photo_info

    before = moving.add("x/a.jpg")
    moving.write(before, "x/a.jpg", 2)
    with moving.rated.library.writing() as session:
        photo_info.set_photo_info(session, {before: photo_info.PhotoInfo(6, 4, None, "edited")})
    moving.write(before, "x/a.jpg", 3)
    moving.rated.write("delete from photos")
    (moving.folder / "x/a.jpg").unlink()
    after = moving.add("y/a.jpg", "edited")
    moving.follow(after)
    assert [(target, photo) for target, _, photo in moving.journal()] == [("y/a.jpg.xmp", after)] * 2
