"""What was measured on one photo's pixels; crosses from decoder to parent as JSON. Needs no image library."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

_LARGEST = 1e6  # of any value; a decoder that a hostile photo took over may send anything
_LARGEST_MAP = 64  # rows or columns
SMALLEST_ENLARGEMENT = 1.6
"""Times; the codecs of phones leave rhythms, too, which look like smaller enlargements."""
SURE = 0.3
"""Least confidence of a value that is shown and stored."""


@dataclass(frozen=True)
class Measure:
    """A value in a unit of its own, and the confidence in it."""

    value: float
    confidence: float
    """0 (nothing is known) to 1 (as sure as this measure can be)."""

    @property
    def known(self) -> float | None:
        """Return the value; None where it is little more than a guess."""
        return self.value if self.confidence >= SURE else None


@dataclass(frozen=True)
class PhotoMeasures:
    """The measured qualities of one photo. Pixels are those of the photo itself, at 100 %."""

    focus: Measure
    """Blur in the sharpest part: the standard deviation in pixels, of a Gaussian."""
    focus_x: float
    """The middle of the sharpest part, 0 (left) to 1."""
    focus_y: float
    """0 (top) to 1."""
    motion: Measure
    """Length in pixels of a movement that even the sharpest part shows."""
    motion_direction: float
    """Degrees anticlockwise from the right, 0 to 180."""
    noise: Measure
    """Standard deviation in grey levels of 255."""
    clipped_highlights: Measure
    """Per cent of the pixels."""
    clipped_shadows: Measure
    """Per cent of the pixels."""
    contrast: Measure
    """Stops (EV) between dark and bright parts."""
    jpeg_damage: Measure
    """How much more pixels differ across the borders of JPEG's blocks than within, in per cent."""
    enlargement: Measure
    """How many times the picture was enlarged, 1 for not at all; focus and motion are those of before."""
    brightest: float
    """Level of a channel, 0 to 255, that one pixel in a thousand exceeds."""
    scale: float
    """Measured pixels for each pixel of the photo, at most 1. Below 0.5 fine blur and noise are lost."""
    is_developed: bool
    """Whether maclip developed it from a RAW, without the noise reduction of cameras."""
    blur: tuple[tuple[float | None, ...], ...]
    """Blur in pixels of each cell before an enlargement, row by row; None where there are no edges."""

    def enlarged_at_least(self) -> float:
        """Return the smallest factor that the rhythm of an enlarged picture fits; `enlargement` is likeliest.

        Frequencies above half a cycle a pixel are mirrored, and the spectrum of a soft picture fits both.
        """
        factor = self.enlargement.value
        if self.scale * factor <= 1:
            return factor
        mirrored = 1 / (self.scale - 1 / factor)
        return mirrored if SMALLEST_ENLARGEMENT <= mirrored < factor else factor

    def stops_below_white(self) -> float:
        """Return by how many stops (EV) the brightest parts have less light than white."""
        return -math.log2(light_of(self.brightest))

    def true_megapixels(self, width: int, height: int) -> float | None:
        """Return how many megapixels a photo of this size shows; fewer than it has if it was enlarged."""
        factor = self.enlargement.known
        return None if factor is None else width * height / 1e6 / factor**2

    def as_json(self) -> dict[str, Any]:
        """Return a plain object for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: object) -> PhotoMeasures:
        """Return the measures that `as_json` described. Raises `ValueError` for anything else."""
        if not isinstance(values, dict) or set(values) != {each.name for each in dataclasses.fields(cls)}:
            raise ValueError("the measures are incomplete")
        found: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            value = values[field.name]
            match field.type:
                case "Measure":
                    found[field.name] = _measure(value)
                case "float":
                    found[field.name] = _number(value)
                case "bool":
                    found[field.name] = bool(value)
                case _:
                    found[field.name] = _map(value)
        return cls(**found)


def light_of(grey_level: float) -> float:
    """Return the light of a grey level of sRGB (IEC 61966-2-1), of white; at least a thousandth."""
    share = grey_level / 255
    light = share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
    return max(light, 0.001)


def _measure(value: object) -> Measure:
    if not isinstance(value, dict) or set(value) != {"value", "confidence"}:
        raise ValueError("a measure has no value or no confidence")
    return Measure(_number(value["value"]), min(1.0, _number(value["confidence"])))


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("a measure is no number")
    if not 0 <= value <= _LARGEST:
        raise ValueError("a measure is out of range")
    return float(value)


def _map(value: object) -> tuple[tuple[float | None, ...], ...]:
    if not isinstance(value, list) or len(value) > _LARGEST_MAP:
        raise ValueError("the blur of the cells is no list, or too long")
    rows = []
    for row in value:
        if not isinstance(row, list) or len(row) > _LARGEST_MAP or len(row) != len(value[0]):
            raise ValueError("the blur of the cells is no table")
        rows.append(tuple(None if each is None else _number(each) for each in row))
    return tuple(rows)
