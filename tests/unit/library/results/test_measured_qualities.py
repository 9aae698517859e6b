"""Measured qualities: one row a photo, replaced by the next, gone with the photo."""

from collections.abc import Callable

from sqlalchemy.orm import Session

from maclip_daemon.library.queries import photo_detail, rankings
from maclip_daemon.library.results import measured_qualities
from maclip_daemon.library.results.measured_qualities import MeasuredQualities
from maclip_daemon.library.storage.database import Library

BLURRED = MeasuredQualities(
    focus=4.1, noise=2.0, clipped_highlights=0.5, reasons="not sharp", details={"focus_x": 0.25}
)


def test_a_photo_shows_what_was_measured_last(
    library: Library, session: Session, add_photo: Callable[..., int]
) -> None:
    photo = add_photo("/photos/a.jpg", 0.5)
    bare = add_photo("/photos/b.jpg", 0.6)
    measured_qualities.record(session, {photo: BLURRED, bare: None})
    measured_qualities.record(session, {photo: MeasuredQualities(focus=0.7)})
    session.commit()
    with library.snapshot() as snapshot:
        one, other = rankings.worst(snapshot, 2)
        assert (one.focus, one.noise, one.reasons) == (0.7, None, None)
        assert (other.focus, other.reasons) == (None, None)
        assert photo_detail.show(snapshot, "/photos/a.jpg").measured == {}  # type: ignore[union-attr]


def test_details_come_back(library: Library, session: Session, add_photo: Callable[..., int]) -> None:
    photo = add_photo("/photos/a.jpg", 0.5)
    measured_qualities.record(session, {photo: BLURRED})
    session.commit()
    with library.snapshot() as snapshot:
        found = photo_detail.show(snapshot, "/photos/a.jpg")
        assert found is not None
        assert found.measured == {"focus_x": 0.25}
        assert found.quality is not None
        assert found.quality.reasons == "not sharp"


def test_a_picture_that_became_too_small_has_none(
    library: Library, session: Session, add_photo: Callable[..., int]
) -> None:
    photo = add_photo("/photos/a.jpg", 0.5)
    measured_qualities.record(session, {photo: BLURRED})
    measured_qualities.record(session, {photo: None})
    session.commit()
    with library.snapshot() as snapshot:
        assert snapshot.execute("SELECT count(*) FROM measures").fetchone() == (0,)


def test_they_go_with_their_photo(library: Library, session: Session, add_photo: Callable[..., int]) -> None:
    photo = add_photo("/photos/a.jpg", 0.5)
    measured_qualities.record(session, {photo: BLURRED})
    session.connection().exec_driver_sql("DELETE FROM photos")
    session.commit()
    with library.snapshot() as snapshot:
        assert snapshot.execute("SELECT count(*) FROM measures").fetchone() == (0,)
