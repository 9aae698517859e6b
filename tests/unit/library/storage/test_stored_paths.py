import os
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from maclip_daemon.library.photos import photo_records, root_records
from maclip_daemon.library.storage import stored_paths, timestamps

NAMES = st.binary(min_size=1, max_size=12).map(lambda raw: raw.replace(b"\0", b"n").replace(b"/", b"s"))


@given(NAMES)
def test_every_name_a_file_can_have_comes_back_as_it_was(raw: bytes) -> None:
    name = os.fsdecode(raw)
    assert stored_paths.restored(stored_paths.stored(name)) == name


def test_a_utf8_name_is_stored_as_text_and_any_other_as_its_bytes() -> None:
    assert stored_paths.stored("/Fotos/Ærø.jpg") == "/Fotos/Ærø.jpg"
    assert stored_paths.stored(os.fsdecode(b"/x/\xff.jpg")) == b"/x/\xff.jpg"


def _is_in(
    value: stored_paths.StoredPath, ranges: list[tuple[stored_paths.StoredPath, stored_paths.StoredPath]]
) -> bool:
    return any(type(value) is type(low) and low <= value < high for low, high in ranges)  # type: ignore[operator]


@pytest.mark.parametrize("folder", ["/a/b", "/a/b/", os.fsdecode(b"/a/\xfe")])
def test_the_ranges_hold_what_lies_below_and_nothing_beside(folder: str) -> None:
    inside = [os.path.join(folder, name) for name in ("x", "c/d", "\U0010ffff", os.fsdecode(b"\xff"))]
    outside = [folder.rstrip("/"), folder.rstrip("/") + "0", folder.rstrip("/") + "-x/y", "/a", "/a/a/x"]
    ranges = stored_paths.ranges_under(folder)
    assert all(_is_in(stored_paths.stored(path), ranges) for path in inside)
    assert not any(_is_in(stored_paths.stored(path), ranges) for path in outside)


@given(st.floats(0, 4e9), st.floats(0, 4e9))
def test_text_order_of_moments_is_time_order(one: float, other: float) -> None:
    if abs(one - other) >= 0.002:
        assert (timestamps.text(one) < timestamps.text(other)) == (one < other)
    assert timestamps.seconds(timestamps.text(one)) == pytest.approx(one, abs=0.002)


def test_what_is_said_about_a_file_can_be_stored_whatever_its_name(
    session: Session, add_photo: Callable[..., int]
) -> None:
    photo_id = add_photo("/p/a.jpg")
    said = os.fsdecode(b"The name of /p/\xff_01.jpg is taken for a duplicate.")
    photo_records.set_rating(session, photo_id, None, "none", said)
    root_records.set_state(session, 1, "paused", reason=said)
    (problem,) = session.execute(text("SELECT rating_problem FROM photos")).scalars()
    assert problem == r"The name of /p/\udcff_01.jpg is taken for a duplicate."
    assert [root.reason for root in root_records.known_roots(session)] == [problem]
