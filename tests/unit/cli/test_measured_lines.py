"""What `maclip show` prints of the measured pixels claims no more than is known."""

from types import SimpleNamespace
from typing import Any

from maclip_daemon.cli.printing import measured_lines


def printed(measured: dict[str, float] | None = None, **changes: Any) -> str:
    known = {"focus": 0.6, "motion": 0.0, "noise": 1.0, "clipped_highlights": 0.0, "clipped_shadows": 0.0}
    row: Any = SimpleNamespace(
        **{**known, "contrast": 5.0, "jpeg_damage": 2.0, "reasons": None, **changes},
        motion_direction=None,
        true_megapixels=24.0,
        width=6000,
        height=4000,
    )
    detail: Any = SimpleNamespace(measured={"scale": 0.5, **(measured or {})})
    return "\n".join(measured_lines.lines(detail, row))


def test_a_sharp_photo_is_sharp_and_whole() -> None:
    assert "sharp: 0.6 px blur in the sharpest part (the centre)\n" in printed()
    assert "of 24.0 megapixels; the file has 24.0" in printed()


def test_of_an_enlarged_photo_only_the_most_it_can_show_is_told() -> None:
    shown = printed({"enlargement": 4.67, "enlarged_at_least": 3.5})
    assert "of at most 2.0 megapixels; the file has 24.0" in shown
    assert "(the centre), before it was enlarged" in shown


def test_borders_of_jpeg_blocks_are_no_proof_of_focus() -> None:
    assert "blocks of JPEG look sharp, too" in printed(jpeg_damage=150.0)
