from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from found_file import NOW
from sqlalchemy import text
from sqlalchemy.orm import Session

from maclip_daemon.library.photos import missing_photos, raw_jpeg_pairs
from maclip_daemon.library.queue import leases, rating_queue
from maclip_daemon.library.results import calibration, scores
from maclip_daemon.library.results.calibration import StarRule
from maclip_daemon.library.results.rating_subjects import rating_subjects

SHARES = (10.0, 20.0, 40.0, 20.0, 10.0)
AddPhoto = Callable[..., int]


def role_of(name: str) -> Literal["raw", "developed"] | None:
    suffix = name.rpartition(".")[2].lower()
    return "raw" if suffix in {"dng", "nef"} else "developed" if suffix == "jpg" else None


def linked(session: Session) -> set[tuple[int, int]]:
    return {(photo, raw) for photo, raw in session.execute(text("SELECT photo_id, raw_id FROM photo_pairs"))}


def test_a_jpeg_belongs_to_the_raw_of_the_same_name_in_its_folder(
    session: Session, add_photo: AddPhoto
) -> None:
    raw = add_photo("/photos/a/IMG_1.DNG")
    jpeg = add_photo("/photos/a/IMG_1.JPG")
    for stranger in ("b/IMG_1.jpg", "a/IMG_10.jpg", "a/IMG_1.1.jpg", "a/img_1.jpg", "a/IMG_1.tif", "a/IMG_1"):
        add_photo(f"/photos/{stranger}")
    assert raw_jpeg_pairs.link_all(session, role_of) == {jpeg, raw}
    assert linked(session) == {(jpeg, raw)}
    assert raw_jpeg_pairs.link_all(session, role_of) == set()
    assert raw_jpeg_pairs.unlink_all(session) == {jpeg, raw}
    assert raw_jpeg_pairs.unlink_all(session) == set()
    assert raw_jpeg_pairs.link(session, [jpeg], role_of) == [raw, jpeg]
    assert raw_jpeg_pairs.link(session, [jpeg], role_of) == []
    assert linked(session) == {(jpeg, raw)}
    assert raw_jpeg_pairs.link(session, [raw], role_of) == [jpeg]
    assert linked(session) == {(jpeg, raw)}


def test_names_that_are_no_utf8_make_pairs_too(session: Session, add_photo: AddPhoto) -> None:
    raw, jpeg = add_photo("/photos/\udcff.dng"), add_photo("/photos/\udcff.jpg")
    assert raw_jpeg_pairs.link(session, [raw], role_of) == [raw, jpeg]
    assert raw_jpeg_pairs.link_all(session, role_of) == set(), "it was linked before"
    assert linked(session) == {(jpeg, raw)}


def test_the_raws_score_decides_over_both_and_the_pair_counts_once(
    session: Session, add_photo: AddPhoto
) -> None:
    for number in range(9):
        add_photo(f"/photos/{number}.jpg", number / 10)
    raw, jpeg = add_photo("/photos/x.dng", 0.95), add_photo("/photos/x.jpg", 0.01)
    config = scores.active_scoring_config(session)
    assert config is not None
    separate = calibration.renew(session, config.id, StarRule(SHARES, 2), NOW)
    assert separate is not None
    assert separate.photo_count == 11
    raw_jpeg_pairs.link_all(session, role_of)
    made = calibration.renew(session, config.id, StarRule(SHARES, 2), NOW)
    assert made is not None
    assert made.photo_count == 10
    assert not calibration.needs_renewal(session, config.id, StarRule(SHARES, 2))
    assert [subject.score for subject in rating_subjects(session, [raw, jpeg])] == [0.95, 0.95]
    view = text("SELECT file_name, score, stars, percentile FROM photo_quality WHERE file_name LIKE 'x.%'")
    rows = {name: values for name, *values in session.execute(view)}
    assert rows["x.jpg"][0] == 0.01, "its own score stays visible"
    assert rows["x.jpg"][1:] == rows["x.dng"][1:] == [5, 95.0]
    for photo in (raw, jpeg):
        session.execute(text("UPDATE photos SET stars_written = 5 WHERE id = :id"), {"id": photo})
    due = rating_queue.enqueue(session, NOW)
    assert due == 9, "both of the pair have the stars they should have"


def test_a_jpeg_stands_for_itself_while_its_raw_has_no_score_or_is_gone(
    session: Session, add_photo: AddPhoto
) -> None:
    raw, jpeg = add_photo("/photos/x.dng"), add_photo("/photos/x.jpg", 0.5)
    config = scores.active_scoring_config(session)
    assert config is not None
    raw_jpeg_pairs.link_all(session, role_of)
    assert [subject.score for subject in rating_subjects(session, [jpeg])] == [0.5]
    made = calibration.renew(session, config.id, StarRule(SHARES, 1), NOW)
    assert made is not None
    assert made.photo_count == 1
    missing_photos.mark_missing(session, [raw], NOW)
    assert raw_jpeg_pairs.link_all(session, role_of) == {jpeg, raw}
    assert linked(session) == set()
    raw_jpeg_pairs.link(session, [jpeg], role_of)
    assert linked(session) == set()


def test_a_pair_stays_one_while_its_disk_is_away(session: Session, add_photo: AddPhoto) -> None:
    raw, jpeg = add_photo("/photos/x.dng", 0.4), add_photo("/photos/x.jpg", 0.5)
    alone = add_photo("/photos/y.jpg", 0.5)
    raw_jpeg_pairs.link_all(session, role_of)
    missing_photos.mark_missing(session, [raw, jpeg, alone], NOW)
    for _ in range(2):  # a calibration while the disk is away
        raw_jpeg_pairs.link_all(session, role_of)
        assert linked(session) == {(jpeg, raw)}


def test_the_jpeg_of_a_raw_that_is_forgotten_gets_a_look_at_its_stars(
    session: Session, add_photo: AddPhoto
) -> None:
    raw, jpeg, other = (add_photo(f"/photos/{name}", 0.5) for name in ("x.dng", "x.jpg", "y.jpg"))
    raw_jpeg_pairs.link_all(session, role_of)
    missing_photos.mark_missing(session, [raw, other], NOW)
    assert missing_photos.purge_missing(session, NOW) == 2
    assert [job.photo_id for job in leases.lease(session, "rate", "w", NOW, 9, 9)] == [jpeg]


def test_the_other_files_of_a_shot_are_known_from_both_sides(session: Session, add_photo: AddPhoto) -> None:
    raw, jpeg, other = (add_photo(f"/photos/x.{suffix}", 0.5) for suffix in ("dng", "jpg", "JPG"))
    alone = add_photo("/photos/y.jpg", 0.5)
    raw_jpeg_pairs.link_all(session, role_of)
    session.execute(text(f"UPDATE photos SET stars_written = 3, rating_owner = 'maclip' WHERE id = {raw}"))
    found = raw_jpeg_pairs.partners(session, [raw, jpeg, alone])
    assert {each.photo_id for each in found[raw]} == {jpeg, other}
    assert [(each.path, each.stars_written, each.rating_owner) for each in found[jpeg]] == [
        ("/photos/x.dng", 3, "maclip"),
        ("/photos/x.JPG", None, "none"),
    ]
    assert alone not in found
    missing_photos.mark_missing(session, [raw], NOW)
    assert [each.photo_id for each in raw_jpeg_pairs.partners(session, [jpeg])[jpeg]] == [other]


def test_photos_without_the_persons_stars_are_found_for_rating_again(
    session: Session, add_photo: AddPhoto
) -> None:
    away, five, undone, ours = (add_photo(f"/photos/a/{number}.jpg", 0.5) for number in range(4))
    for photo, owner, rating in ((away, "person", 0), (five, "person", 5), (ours, "maclip", 3)):
        session.execute(
            text(f"UPDATE photos SET rating_owner = '{owner}', rating_in_file = {rating} WHERE id = {photo}")
        )
    session.execute(text(f"UPDATE photos SET rating_undone_at = '2026' WHERE id = {undone}"))
    assert rating_queue.without_stars(session, []) == [
        (away, "/photos/a/0.jpg"),
        (undone, "/photos/a/2.jpg"),
    ]
    assert rating_queue.without_stars(session, ["/photos/a/0.jpg"]) == [(away, "/photos/a/0.jpg")]
    assert rating_queue.without_stars(session, ["/photos/b"]) == []


def test_a_photo_whose_raw_is_another_one_now_gets_a_look_at_its_stars(
    session: Session, add_photo: AddPhoto
) -> None:
    raw, jpeg = add_photo("/photos/x.nef", 0.4), add_photo("/photos/x.jpg", 0.5)
    persons, undone, unrated = (add_photo(f"/photos/x.{suffix}", 0.5) for suffix in ("jpG", "jPg", "JPG"))
    session.execute(text(f"UPDATE photos SET rating_owner = 'maclip' WHERE id IN ({raw}, {jpeg}, {undone})"))
    session.execute(text(f"UPDATE photos SET rating_owner = 'person' WHERE id = {persons}"))
    session.execute(text(f"UPDATE photos SET rating_undone_at = '2026' WHERE id = {undone}"))
    four = {jpeg, persons, undone, unrated}
    assert raw_jpeg_pairs.link_all(session, role_of) == four | {raw}
    former = add_photo("/photos/x.dng", 0.7)
    assert set(raw_jpeg_pairs.link(session, [former], role_of)) == four | {raw, former}
    assert linked(session) == {(each, former) for each in four}, "the first by name leads"
    missing_photos.mark_missing(session, [former], NOW)
    assert set(raw_jpeg_pairs.link(session, [raw], role_of)) == four | {raw, former}
    assert rating_queue.enqueue_rated(session, NOW, four | {raw}) == 2
    assert rating_queue.enqueue_rated(session, NOW, four | {raw}) == 0, "they are queued already"
    assert {job.photo_id for job in leases.lease(session, "rate", "w", NOW, 9, 9)} == {raw, jpeg}
