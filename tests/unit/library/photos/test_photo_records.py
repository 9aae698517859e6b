import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest
from found_file import NOW, Found
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from maclip_daemon.library.photos import missing_photos, photo_info, photo_records, renames, root_records
from maclip_daemon.library.photos.photo_info import PhotoInfo
from maclip_daemon.library.queue import jobs, leases
from maclip_daemon.library.results import rating_journal, scores
from maclip_daemon.library.storage import photo_paths
from maclip_daemon.library.storage.tables import (
    FOLDERS,
    JOBS,
    JOURNAL,
    PHOTOS,
    SCORES,
)

AddPhoto = Callable[..., int]
A = Found("/photos/a.jpg")


@pytest.fixture
def root(session: Session) -> int:
    return root_records.root_for(session, "/photos/", NOW)


def count(session: Session, table: object) -> int:
    return int(session.execute(select(func.count()).select_from(table)).scalar_one())  # type: ignore[arg-type]


def test_a_root_is_one_however_it_is_spelled(session: Session, root: int) -> None:
    assert root_records.root_for(session, "/photos", NOW) == root
    root_records.set_state(session, root, "paused", reason="gone", device=5, file_system="nfs4")
    root_records.set_state(session, root, "watched")
    (known,) = root_records.known_roots(session)
    assert (known.path, known.state, known.reason, known.device, known.file_system) == (
        "/photos",
        "watched",
        None,
        5,
        "nfs4",
    )


def test_a_file_is_new_once_and_then_the_same(session: Session, root: int) -> None:
    first = photo_records.record_file(session, root, A, NOW)
    assert (first.change, first.needs_score) == ("new", True)
    again = photo_records.record_file(session, root, A, NOW)
    assert (again.photo_id, again.change, again.needs_score) == (first.photo_id, "same", False)


@pytest.mark.parametrize("other", [replace(A, size=2), replace(A, mtime_ns=2)])
def test_another_size_or_time_is_a_change(session: Session, root: int, other: Found) -> None:
    photo_records.record_file(session, root, A, NOW)
    seen = photo_records.record_file(session, root, other, NOW)
    assert (seen.change, seen.needs_score) == ("changed", True)
    known = photo_paths.known_in_folder(session, "/photos")["a.jpg"]
    assert (known.size, known.mtime_ns, known.state) == (other.size, other.mtime_ns, "waiting")


def test_another_inode_alone_is_no_change(session: Session, root: int) -> None:
    photo_records.record_file(session, root, A, NOW)
    assert photo_records.record_file(session, root, replace(A, inode=9, device=4), NOW).change == "same"
    assert photo_paths.known_in_folder(session, "/photos")["a.jpg"].inode == 9


def test_numbers_of_network_shares_need_all_64_bits(session: Session, root: int) -> None:
    photo_records.record_file(session, root, replace(A, inode=2**64 - 3, device=2**63), NOW)
    known = photo_paths.known_in_folder(session, "/photos")["a.jpg"]
    assert (known.inode, known.device) == (2**64 - 3, 2**63)


def test_a_renamed_file_keeps_its_number_and_score(session: Session, root: int, add_photo: AddPhoto) -> None:
    photo = add_photo("/photos/a.jpg", 0.7)
    known = photo_paths.known_in_folder(session, "/photos")["a.jpg"]
    found = Found("/photos/sub/b.jpg", known.device, known.inode, known.size, known.mtime_ns)
    seen = photo_records.record_file(session, root, found, NOW, is_gone=lambda path: path == "/photos/a.jpg")
    assert (seen.photo_id, seen.change, seen.needs_score) == (photo, "moved", False)
    assert seen.moved_from == "/photos/a.jpg"
    assert photo_paths.path_of(session, photo) == "/photos/sub/b.jpg"
    assert session.execute(select(SCORES.c.folder_id)).scalar() == photo_records.folder_for(
        session, root, "/photos/sub"
    )


def test_a_hard_link_is_a_photo_of_its_own(session: Session, root: int) -> None:
    photo_records.record_file(session, root, A, NOW)
    assert photo_records.record_file(session, root, replace(A, path="/photos/b.jpg"), NOW).change == "new"


def test_a_file_that_vanished_and_came_back_elsewhere_is_the_same_photo(
    session: Session, root: int, add_photo: AddPhoto
) -> None:
    photo = add_photo("/photos/a.jpg", 0.7)
    known = photo_paths.known_in_folder(session, "/photos")["a.jpg"]
    assert missing_photos.mark_missing(session, [photo], NOW) == 1
    assert missing_photos.mark_missing(session, [photo], NOW) == 0
    found = Found("/photos/b.jpg", known.device, known.inode, known.size, known.mtime_ns)
    seen = photo_records.record_file(session, root, found, NOW)
    assert (seen.change, seen.needs_score) == ("moved", False)
    assert photo_paths.known_in_folder(session, "/photos")["b.jpg"].state == "scored"


def test_a_root_that_was_away_comes_back_without_any_new_work(
    session: Session, root: int, add_photo: AddPhoto
) -> None:
    scored, waiting, failed = (
        add_photo("/photos/s.jpg", 0.5),
        add_photo("/photos/w.jpg"),
        add_photo("/photos/f.jpg"),
    )
    for photo in (waiting, failed):
        jobs.enqueue(session, [photo], "score", NOW)
    held = [job for job in leases.lease(session, "score", "w", NOW, 9, 9) if job.photo_id == failed]
    jobs.fail(session, held[0], "w", "cut off", NOW, poison=True, policy=jobs.RetryPolicy())
    known = photo_paths.known_in_folder(session, "/photos")
    missing_photos.mark_missing(session, [scored, waiting, failed], NOW)
    assert count(session, JOBS) == 1  # the given-up one, with its reason
    seen = {
        name: photo_records.record_file(
            session, root, Found(f"/photos/{name}", file.device, file.inode, file.size, file.mtime_ns), NOW
        )
        for name, file in known.items()
    }
    assert {sighting.change for sighting in seen.values()} == {"returned"}
    assert [name for name, sighting in seen.items() if sighting.needs_score] == ["w.jpg"]
    states = {name: file.state for name, file in photo_paths.known_in_folder(session, "/photos").items()}
    assert states == {"s.jpg": "scored", "w.jpg": "waiting", "f.jpg": "failed"}


def test_what_went_before_its_new_content_was_scored_comes_back_without_the_old_score(
    session: Session, root: int, add_photo: AddPhoto
) -> None:
    photo = add_photo("/photos/a.jpg", 0.7)
    known = photo_paths.known_in_folder(session, "/photos")["a.jpg"]
    edited = Found("/photos/a.jpg", known.device, known.inode, known.size + 1, known.mtime_ns + 1)
    assert photo_records.record_file(session, root, edited, NOW).change == "changed"
    missing_photos.mark_missing(session, [photo], NOW)
    for back in (edited, replace(edited, path="/photos/b.jpg")):
        seen = photo_records.record_file(session, root, back, NOW)
        assert (seen.photo_id, seen.needs_score) == (photo, True)
        missing_photos.mark_missing(session, [photo], NOW)
    assert count(session, SCORES) == 0


def test_a_missing_photo_that_came_back_with_a_second_name_keeps_its_own(
    session: Session, root: int, add_photo: AddPhoto
) -> None:
    photo = add_photo("/photos/a.jpg", 0.7)
    known = photo_paths.known_in_folder(session, "/photos")["a.jpg"]
    missing_photos.mark_missing(session, [photo], NOW)
    link = Found("/photos/0.jpg", known.device, known.inode, known.size, known.mtime_ns)
    seen = photo_records.record_file(
        session, root, link, NOW, is_there=lambda path, file: path == "/photos/a.jpg"
    )
    assert (seen.change, seen.photo_id == photo) == ("new", False)
    seen = photo_records.record_file(session, root, replace(link, path="/photos/a.jpg"), NOW)
    assert (seen.change, seen.photo_id, seen.needs_score) == ("returned", photo, False)


def test_what_failed_went_and_was_to_be_tried_again_meanwhile_comes_back_without_the_old_score(
    session: Session, root: int, add_photo: AddPhoto
) -> None:
    photo = add_photo("/photos/a.jpg", 0.7)
    known = photo_paths.known_in_folder(session, "/photos")["a.jpg"]
    broken = Found("/photos/a.jpg", known.device, known.inode, known.size - 1, known.mtime_ns + 1)
    assert photo_records.record_file(session, root, broken, NOW).change == "changed"
    jobs.enqueue(session, [photo], "score", NOW)
    held = leases.lease(session, "score", "w", NOW, 9, 9)
    jobs.fail(session, held[0], "w", "cut off", NOW, poison=True, policy=jobs.RetryPolicy())
    missing_photos.mark_missing(session, [photo], NOW)
    assert jobs.retry_dead(session, NOW) == 1
    missing_photos.mark_missing(session, [photo], NOW)  # the decoder looked for it
    seen = photo_records.record_file(session, root, replace(broken, path="/photos/b.jpg"), NOW)
    assert (seen.photo_id, seen.needs_score) == (photo, True)


def test_a_file_renamed_over_another_takes_its_place(
    session: Session, root: int, add_photo: AddPhoto
) -> None:
    kept, replaced = add_photo("/photos/a.jpg", 0.7), add_photo("/photos/b.jpg", 0.2)
    renames.move_photo(session, kept, "/photos/b.jpg", root)
    assert photo_paths.find_photo(session, "/photos/b.jpg") == kept
    assert photo_paths.find_photo(session, "/photos/a.jpg") is None
    assert photo_paths.path_of(session, replaced) is None
    assert count(session, SCORES) == 1


def write_down(session: Session, photo: int, target: str) -> int:
    entry = rating_journal.intend(
        session,
        photo,
        target,
        "sidecar",
        before_hash=None,
        after_hash="h",
        restore=b"",
        stars_before=None,
        stars_written=3,
        now=NOW,
    )
    rating_journal.confirm(session, entry, NOW)
    return entry


def test_the_journal_follows_a_renamed_photo(session: Session, root: int, add_photo: AddPhoto) -> None:
    photo = add_photo("/photos/a.jpg", 0.7)
    for target in ("/photos/a.jpg.xmp", "/photos/a.xmp", "/photos/a.jpg"):
        write_down(session, photo, target)
    renames.move_photo(session, photo, "/photos/c/b.jpg", root)
    assert rating_journal.undo_targets(session) == [
        "/photos/c/b.jpg",
        "/photos/c/b.jpg.xmp",
        "/photos/c/b.xmp",
    ]


@pytest.mark.parametrize("old", ["/photos/old", "/photos/old/", os.fsdecode(b"/photos/\xff")])
@pytest.mark.parametrize("new", ["/photos/new", os.fsdecode(b"/photos/n\xfe")])
def test_a_renamed_folder_takes_everything_below_along(
    session: Session, root: int, add_photo: AddPhoto, old: str, new: str
) -> None:
    place = old.rstrip("/")
    names = ["a.jpg", "deep/er/b.jpg", os.fsdecode(b"\xfd/c.jpg")]
    ids = [add_photo(f"{place}/{name}", 0.5) for name in names]
    beside = add_photo(f"{place}-not/d.jpg", 0.5)
    write_down(session, ids[0], f"{place}/a.jpg.xmp")
    assert renames.move_folder(session, old, new, root) == 3
    assert [photo_paths.path_of(session, photo) for photo in ids] == [f"{new}/{name}" for name in names]
    assert photo_paths.path_of(session, beside) == f"{place}-not/d.jpg"
    assert rating_journal.undo_targets(session) == [f"{new}/a.jpg.xmp"]
    assert photo_paths.folders_under(session, place) == []


def test_a_folder_renamed_onto_one_that_was_known_before_wins(
    session: Session, root: int, add_photo: AddPhoto
) -> None:
    moved, stays = add_photo("/photos/old/a.jpg", 0.7), add_photo("/photos/new/z.jpg", 0.3)
    stale = add_photo("/photos/new/a.jpg", 0.2)
    renames.move_folder(session, "/photos/old", "/photos/new", root)
    assert photo_paths.find_photo(session, "/photos/new/a.jpg") == moved
    assert photo_paths.find_photo(session, "/photos/new/z.jpg") == stays
    assert photo_paths.path_of(session, stale) is None
    assert photo_paths.folders_under(session, "/photos") == ["/photos/new"]


def test_other_pixels_drop_the_old_scores_and_the_same_ones_keep_them(
    session: Session, add_photo: AddPhoto
) -> None:
    photo = add_photo("/photos/a.jpg", 0.7)
    taken = datetime(2026, 5, 1, 10, 0)

    def has_new_pixels(pixel_hash: str, former_hash: str | None = None) -> bool:
        info = PhotoInfo(6000, 4000, taken, pixel_hash, former_hash)
        return photo_info.set_photo_info(session, {photo: info}) == {photo}

    assert has_new_pixels("one")
    assert not has_new_pixels("one")
    assert count(session, SCORES) == 1
    assert photo_info.pixel_hash_of(session, photo) == "one"
    assert not has_new_pixels("jpeg:one", former_hash="one")
    assert photo_info.pixel_hash_of(session, photo) == "jpeg:one"
    assert count(session, SCORES) == 1
    assert has_new_pixels("two")
    assert count(session, SCORES) == 0
    assert session.execute(select(PHOTOS.c.taken_at)).scalar() == "2026-05-01T10:00:00"


def test_purging_forgets_the_missing_and_keeps_the_way_back(session: Session, add_photo: AddPhoto) -> None:
    gone, there = add_photo("/photos/x/a.jpg", 0.7), add_photo("/photos/y/b.jpg", 0.2)
    elsewhere = add_photo("/photos/z/c.jpg", 0.2)
    write_down(session, gone, "/photos/x/a.jpg.xmp")
    missing_photos.mark_missing(session, [gone, elsewhere], NOW)
    assert missing_photos.count_missing(session) == 2
    assert (
        missing_photos.count_missing(session, "/photos/x")
        == missing_photos.purge_missing(session, NOW, "/photos/x")
        == 1
    )
    assert photo_paths.path_of(session, there) is not None
    assert photo_paths.path_of(session, elsewhere) is not None
    assert session.execute(select(JOURNAL.c.photo_id)).scalar() is None
    assert rating_journal.undo_targets(session) == ["/photos/x/a.jpg.xmp"]
    assert count(session, FOLDERS) == 2


def test_many_photos_can_be_marked_at_once(session: Session, add_photo: AddPhoto) -> None:
    ids = [add_photo("/photos/a.jpg"), add_photo("/photos/b.jpg")]
    assert missing_photos.mark_missing(session, iter([*range(10_000, 50_000), *ids]), NOW) == 2


def test_a_score_survives_a_missing_photo_but_its_state_does_not_change(
    session: Session, add_photo: AddPhoto
) -> None:
    photo = add_photo("/photos/a.jpg", 0.7)
    missing_photos.mark_missing(session, [photo], NOW)
    config = scores.active_scoring_config(session)
    assert config is not None
    scores.record(session, config.id, [(photo, scores.ScoreRow(0.6))], NOW)
    assert photo_paths.known_in_folder(session, "/photos")["a.jpg"].state == "missing"
