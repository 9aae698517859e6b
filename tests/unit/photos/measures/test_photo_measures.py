"""What a decoder sends is checked: a photo may have taken it over."""

import json
import math
from typing import Any

import pytest

from maclip_daemon.photos.measures.photo_measures import Measure, PhotoMeasures

GOOD = PhotoMeasures(
    focus=Measure(0.6, 1.0),
    focus_x=0.25,
    focus_y=0.5,
    motion=Measure(0.0, 1.0),
    motion_direction=0.0,
    noise=Measure(2.0, 1.0),
    clipped_highlights=Measure(0.5, 1.0),
    clipped_shadows=Measure(0.0, 1.0),
    contrast=Measure(6.0, 1.0),
    jpeg_damage=Measure(3.0, 1.0),
    enlargement=Measure(1.0, 0.5),
    brightest=240.0,
    scale=0.5,
    is_developed=False,
    blur=((0.5, None), (1.5, 2.0)),
)


def sent(**changes: Any) -> Any:
    return json.loads(json.dumps(GOOD.as_json() | changes))


def test_measures_cross_as_json() -> None:
    assert PhotoMeasures.from_json(sent()) == GOOD


@pytest.mark.parametrize(
    "changes",
    [
        {"focus": 3},
        {"focus": {"value": 1}},
        {"focus": {"value": "1", "confidence": 1}},
        {"focus": {"value": math.inf, "confidence": 1}},
        {"focus": {"value": math.nan, "confidence": 1}},
        {"focus": {"value": -1, "confidence": 1}},
        {"noise": {"value": 1e30, "confidence": 1}},
        {"scale": True},
        {"blur": "x" * 1000},
        {"blur": [[1.0], [1.0, 2.0]]},
        {"blur": [[1.0] * 1000]},
        {"blur": [[1.0]] * 1000},
        {"blur": [["a"]]},
        {"extra": 1},
    ],
)
def test_other_replies_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"measure|blur"):
        PhotoMeasures.from_json(sent(**changes))


def test_a_guess_is_not_known() -> None:
    assert Measure(3.0, 0.2).known is None
    assert Measure(3.0, 0.9).known == 3.0


def test_an_enlarged_photo_has_fewer_megapixels() -> None:
    enlarged = PhotoMeasures.from_json(sent(enlargement={"value": 4.0, "confidence": 1.0}))
    assert enlarged.true_megapixels(6000, 4000) == pytest.approx(1.5)
