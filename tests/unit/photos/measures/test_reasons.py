"""Reasons: at most three, the strongest first, and only what is sure."""

import dataclasses
from typing import Any

import pytest
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
    assert reasons(clipped_shadows=Measure(20.0, 1.0), brightest=90.0) == ()
    assert reasons(clipped_shadows=Measure(90.0, 1.0), brightest=60.0) == (
        "underexposed: 90 % is black, nothing is bright",
    )


def test_a_movement_is_told_only_where_edges_along_it_are_sharp() -> None:
    moved = {"motion": Measure(21.0, 1.0), "motion_direction": 45.0}
    assert reasons(**moved, focus=Measure(2.0, 1.0)) == (
        "moved about 20 px diagonally, even where it is sharpest",
    )
    assert reasons(**moved, focus=Measure(3.0, 1.0)) == ("not sharp anywhere at 100 %: 3.0 px blur",)


def test_the_darker_of_two_frames_has_the_stronger_reason() -> None:
    rivals = {"focus": Measure(4.0, 1.0), "noise": Measure(14.0, 1.0), "jpeg_damage": Measure(140.0, 1.0)}
    dark, darker = (
        reasons(**rivals, clipped_shadows=Measure(share, 1.0), brightest=level)
        for share, level in ((34.0, 13.0), (40.0, 12.0))
    )
    assert dark[0] == "underexposed: the brightest parts are 8 stops below white"
    assert darker[0] == "underexposed: 40 % is black, nothing is bright"


@pytest.mark.parametrize("likeliest", [3.5, 14 / 3])
def test_an_enlarged_photo_says_what_is_sure_of_it(likeliest: float) -> None:
    # At half size both factors leave the same rhythm.
    assert reasons(enlargement=Measure(likeliest, 1.0)) == (
        "enlarged at least 3.5 times: shows at most 1714 × 1143 pixels",
    )


def test_no_reason_holds_the_mark_between_reasons() -> None:
    found = reasons(focus=Measure(9.0, 1.0), motion=Measure(9.0, 1.0), noise=Measure(30.0, 1.0))
    assert all(SEPARATOR not in each for each in found)
