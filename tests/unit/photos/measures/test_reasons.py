"""Reasons: at most three, the strongest first, and only what is sure."""

import dataclasses
from typing import Any

from test_photo_measures import GOOD

from maclip_daemon.photos.measures.photo_measures import Measure
from maclip_daemon.photos.measures.reasons import MOST, SEPARATOR, reasons_of


def reasons(**changes: Any) -> tuple[str, ...]:
    return reasons_of(dataclasses.replace(GOOD, **changes), 6000, 4000)


def test_a_good_photo_has_none() -> None:
    assert reasons() == ()


def test_the_strongest_comes_first_and_three_are_enough() -> None:
    found = reasons(
        focus=Measure(3.5, 1.0),
        noise=Measure(24.0, 1.0),
        clipped_highlights=Measure(12.0, 1.0),
        jpeg_damage=Measure(200.0, 1.0),
    )
    assert found == (
        "noise: 24 of 255 grey levels at 100 %",
        "JPEG blocks are visible: it was compressed strongly",
        "not sharp anywhere at 100 %: 3.5 px blur",
    )
    assert len(found) == MOST


def test_what_is_not_sure_is_not_said() -> None:
    assert reasons(focus=Measure(8.0, 0.8), noise=Measure(30.0, 0.5)) == ()


def test_a_night_with_lamps_is_not_underexposed() -> None:
    assert reasons(clipped_shadows=Measure(90.0, 1.0), brightest=200.0) == ()
    assert reasons(clipped_shadows=Measure(90.0, 1.0), brightest=60.0) == (
        "underexposed: 90 % is black, nothing is bright",
    )


def test_a_movement_explains_a_little_blur() -> None:
    moved = {"motion": Measure(20.0, 1.0), "motion_direction": 45.0}
    assert reasons(**moved, focus=Measure(3.0, 1.0)) == ("moved 20 px diagonally, even where it is sharpest",)
    assert len(reasons(**moved, focus=Measure(7.0, 1.0))) == 2


def test_an_enlarged_photo_says_what_it_shows() -> None:
    assert reasons(enlargement=Measure(15.0, 1.0)) == ("enlarged 15.0 times: shows 400 × 267 pixels",)


def test_no_reason_holds_the_mark_between_reasons() -> None:
    found = reasons(focus=Measure(9.0, 1.0), motion=Measure(9.0, 1.0), noise=Measure(30.0, 1.0))
    assert all(SEPARATOR not in each for each in found)
