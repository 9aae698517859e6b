from collections.abc import Callable

import pytest
from found_file import NOW
from sqlalchemy import select
from sqlalchemy.orm import Session

from maclip_daemon.library.photos import photo_records, renames, root_records
from maclip_daemon.library.queue import jobs, leases, rating_queue
from maclip_daemon.library.results import calibration, rating_journal, scores
from maclip_daemon.library.storage.tables import PHOTOS

AddPhoto = Callable[..., int]
SHARES = (10.0, 20.0, 40.0, 20.0, 10.0)
EDGES = (0.2, 0.4, 0.6, 0.8)


def intend(session: Session, photo: int, target: str = "/photos/a.jpg.xmp", stars: int | None = 3) -> int:
    return rating_journal.intend(
        session,
        photo,
        target,
        "sidecar",
        before_hash="before",
        after_hash=f"after {stars}",
        restore=b"how to get back",
        stars_before=None,
        stars_written=stars,
        now=NOW,
    )


@pytest.fixture
def photo(add_photo: AddPhoto) -> int:
    return add_photo("/photos/a.jpg", 0.5)


def facts(session: Session, photo: int) -> tuple[object, ...]:
    columns = (PHOTOS.c.rating_in_file, PHOTOS.c.rating_owner, PHOTOS.c.stars_written)
    return tuple(session.execute(select(*columns).where(PHOTOS.c.id == photo)).one())


def test_an_entry_is_unconfirmed_until_the_file_was_replaced(session: Session, photo: int) -> None:
    entry = intend(session, photo)
    (row,) = rating_journal.unconfirmed(session)
    assert (row.id, row.target_path, row.state) == (entry, "/photos/a.jpg.xmp", "intended")
    assert row.restore == b"how to get back"
    rating_journal.confirm(session, entry, NOW)
    assert rating_journal.unconfirmed(session) == []
    assert facts(session, photo) == (3, "maclip", 3)


def test_an_abandoned_write_leaves_no_trace_on_the_photo(session: Session, photo: int) -> None:
    entry = intend(session, photo)
    rating_journal.abandon(session, entry, NOW)
    assert rating_journal.unconfirmed(session) == []
    assert rating_journal.undo_targets(session) == []
    assert facts(session, photo) == (None, "none", None)


def test_who_wrote_a_file_knows_better_than_a_process_that_looked_a_moment_before(
    session: Session, photo: int
) -> None:
    entry = intend(session, photo)
    rating_journal.abandon(session, entry, NOW)  # it found the file as it was
    rating_journal.confirm(session, entry, NOW)
    assert rating_journal.undo_targets(session) == ["/photos/a.jpg.xmp"]
    assert facts(session, photo) == (3, "maclip", 3)
    rating_journal.mark_undone(session, [entry], NOW)
    rating_journal.confirm(session, entry, NOW)  # too late: it was undone
    assert rating_journal.undo_targets(session) == []


def test_a_chain_is_undone_from_its_newest_end_and_then_left_alone(session: Session, photo: int) -> None:
    entries = [intend(session, photo, stars=stars) for stars in (2, 3)]
    for entry in entries:
        rating_journal.confirm(session, entry, NOW)
    chain = rating_journal.undo_chain(session, "/photos/a.jpg.xmp")
    assert [row.stars_written for row in chain] == [3, 2]
    jobs.enqueue(session, [photo], "rate", NOW)
    rating_journal.mark_undone(session, [row.id for row in chain], NOW)
    assert rating_journal.undo_targets(session) == []
    assert facts(session, photo) == (None, "none", None)
    assert jobs.counts(session, "rate").ready == 0


def test_undo_is_limited_to_a_folder_a_photo_or_a_file(session: Session, add_photo: AddPhoto) -> None:
    first, second = add_photo("/photos/x/a.jpg"), add_photo("/photos/y/b.jpg")
    for photo, target in ((first, "/photos/x/a.xmp"), (second, "/photos/y/b.jpg.xmp")):
        rating_journal.confirm(session, intend(session, photo, target), NOW)
    for under in ("/photos/x", "/photos/x/", "/photos/x/a.jpg", "/photos/x/a.xmp"):
        assert rating_journal.undo_targets(session, under) == ["/photos/x/a.xmp"]
    assert len(rating_journal.undo_targets(session)) == 2


def calibrate(session: Session, edges: calibration.Edges = EDGES) -> None:
    config = scores.active_scoring_config(session)
    assert config is not None
    rule = calibration.StarRule(SHARES, 30, absolute_edges=edges)
    calibration.renew(session, config.id, rule, NOW)


def test_only_photos_whose_stars_differ_are_asked_for(session: Session, add_photo: AddPhoto) -> None:
    ids = {
        name: add_photo(f"/photos/{name}.jpg", 0.5) for name in ("new", "right", "wrong", "person", "undone")
    }
    calibrate(session)
    for name, stars in (("right", 3), ("wrong", 2), ("undone", 2)):
        rating_journal.confirm(session, intend(session, ids[name], f"/photos/{name}.xmp", stars), NOW)
    photo_records.set_rating(session, ids["person"], 4, "person")
    chain = rating_journal.undo_chain(session, "/photos/undone.xmp")
    rating_journal.mark_undone(session, [row.id for row in chain], NOW)
    assert rating_queue.enqueue(session, NOW) == 2
    leased = leases.lease(session, "rate", "w", NOW, 9, 9)
    assert {job.photo_id for job in leased} == {ids["new"], ids["wrong"]}
    assert rating_queue.enqueue(session, NOW, again=True) == 3


def test_without_a_calibration_nobody_is_rated(session: Session, photo: int) -> None:
    assert rating_queue.enqueue(session, NOW) == 0


def test_a_rating_in_hand_is_done_again_when_the_stars_move(session: Session, photo: int) -> None:
    calibrate(session)
    rating_queue.enqueue(session, NOW)
    (job,) = leases.lease(session, "rate", "w", NOW, 9, 9)
    calibrate(session, (0.5, 0.6, 0.7, 0.8))
    rating_queue.enqueue(session, NOW)
    assert not jobs.finish(session, [job], "w")
    assert jobs.counts(session, "rate").ready == 1


@pytest.mark.parametrize("old", ["/photos/a.jpg", "/photos/\udcff.jpg"])
@pytest.mark.parametrize("new", ["/photos/b.jpg", "/photos/\udcfe.jpg"])
def test_the_journal_follows_a_photo_to_any_name(
    session: Session, add_photo: AddPhoto, old: str, new: str
) -> None:
    photo = add_photo(old, 0.5)
    rating_journal.confirm(session, intend(session, photo, f"{old}.xmp"), NOW)
    renames.move_photo(session, photo, new, root_records.root_for(session, "/photos", NOW))
    (row,) = rating_journal.undo_chain(session, f"{new}.xmp")
    assert (row.target_path, row.origin_path) == (f"{new}.xmp", f"{old}.xmp")
