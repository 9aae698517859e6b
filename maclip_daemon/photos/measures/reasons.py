"""Reasons: what a photo measurably lacks, in a photographer's words. Says nothing where it is not sure.

The thresholds are where good photos hardly ever are: on BIQ2021's training photos and on photos of 80 cameras
(docs/scores.md says of how many a fault is named). Blurred backgrounds, night, fog and white walls are none.
"""

from __future__ import annotations

from dataclasses import dataclass

from maclip_daemon.photos.measures.photo_measures import Measure, PhotoMeasures

MOST = 3
SEPARATOR = "; "
"""Between reasons in one text; no reason contains it."""
_CERTAIN = 0.9  # least confidence of a measure that a reason names


@dataclass(frozen=True)
class _Limit:
    """From which value on a measure is a reason, and beyond which it is as strong as any."""

    least: float
    worst: float

    def strength(self, measure: Measure) -> float:
        """Return how far a certain measure is beyond the limit, 0 (not) to 1."""
        if measure.confidence < _CERTAIN or measure.value < self.least:
            return 0.0
        return min(1.0, 0.1 + 0.9 * (measure.value - self.least) / (self.worst - self.least))


_BLUR = _Limit(2.5, 8.0)  # px; standard deviation
_MOTION = _Limit(11.0, 40.0)  # px
_NOISE = _Limit(9.0, 25.0)  # grey levels
_HIGHLIGHTS = _Limit(8.0, 50.0)  # per cent
_SHADOWS = _Limit(35.0, 95.0)  # per cent
_BLOCKS = _Limit(100.0, 250.0)  # per cent
_ENLARGED = _Limit(3.0, 8.0)  # times
_DIM = 110.0  # grey levels; a night has lamps that are brighter
_DARK = _Limit(4.5, 8.0)  # stops that the brightest parts are below white


def reasons_of(measures: PhotoMeasures, width: int, height: int) -> tuple[str, ...]:
    """Return at most three reasons for a photo of this size in pixels, the strongest first."""
    light = [_highlights(measures), _shadows(measures)]
    found = [
        _enlarged(measures, width, height),
        *_blur(measures),
        _noise(measures),
        *light,
        _blocks(measures),
    ]
    ordered = sorted((each for each in found if each[0] > 0), key=lambda each: -each[0])
    return tuple(text for _, text in ordered[:MOST])


def _blur(measures: PhotoMeasures) -> list[tuple[float, str]]:
    """Return the reason of movement or of focus: a movement is sure only where edges along it are sharp.

    Blur of a picture whose edges nearly all have one direction looks like a movement across them.
    """
    blurred = _BLUR.strength(measures.focus)
    if blurred:
        return [(blurred, f"not sharp anywhere at 100 %: {measures.focus.value:.1f} px blur")]
    length, direction = 5 * round(measures.motion.value / 5), _in_words(measures.motion_direction)
    moved = _MOTION.strength(measures.motion)
    return [(moved, f"moved about {length} px {direction}, even where it is sharpest")]


def _noise(measures: PhotoMeasures) -> tuple[float, str]:
    strength = 0.0 if measures.is_developed else _NOISE.strength(measures.noise)
    return strength, f"noise: {measures.noise.value:.0f} of 255 grey levels at 100 %"


def _highlights(measures: PhotoMeasures) -> tuple[float, str]:
    return (
        _HIGHLIGHTS.strength(measures.clipped_highlights),
        f"highlights clipped: {measures.clipped_highlights.value:.0f} %",
    )


def _shadows(measures: PhotoMeasures) -> tuple[float, str]:
    shadows, stops = measures.clipped_shadows, measures.stops_below_white()
    black = _SHADOWS.strength(shadows) if measures.brightest < _DIM else 0.0
    dark = _DARK.strength(Measure(stops, shadows.confidence))
    if black:
        return max(black, dark), f"underexposed: {shadows.value:.0f} % is black, nothing is bright"
    return dark, f"underexposed: the brightest parts are {stops:.0f} stops below white"


def _blocks(measures: PhotoMeasures) -> tuple[float, str]:
    return _BLOCKS.strength(measures.jpeg_damage), "JPEG blocks are visible: it was compressed strongly"


def _enlarged(measures: PhotoMeasures, width: int, height: int) -> tuple[float, str]:
    factor = max(1.0, measures.enlarged_at_least())
    shown = f"{width / factor:.0f} × {height / factor:.0f} pixels"
    return (
        _ENLARGED.strength(measures.enlargement),
        f"enlarged at least {factor:.1f} times: shows at most {shown}",
    )


def _in_words(degrees: float) -> str:
    if min(degrees, 180 - degrees) <= 22.5:
        return "sideways"
    return "up and down" if abs(degrees - 90) <= 22.5 else "diagonally"
