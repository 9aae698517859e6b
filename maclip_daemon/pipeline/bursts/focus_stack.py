"""Focus stacks: the framing stays, and the sharp region moves through the picture."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from maclip_daemon.photos.shots.descriptor_layout import SHARP_COLUMNS, SHARP_ROWS
from maclip_daemon.pipeline.bursts import likeness
from maclip_daemon.pipeline.bursts.burst_frame import BurstFrame

LIGHT_STEP_EV = 0.6  # of the settings; automatic exposure moves by thirds
_LEAST_IN_STACK, _LEAST_IN_HAND = 4, 5
# A stack on a tripod: neighbours agree nearly everywhere, and each region becomes sharp once. In the hand the
# sharp region must move in step with the frames; a subject that crosses a burst does less.
_FIXED, _STEADY = 0.93, 0.78  # agreement of neighbours
_FOCUS_MOVES_FIXED, _FOCUS_MOVES = 10.0, 6.0  # mean range of a region's own sharpness; 16 is a doubling
_SHARP_ONCE = 0.88  # share of the rise and fall of sharpness that leads to one peak
_LEAST_PEAKS = 3  # frames in which some region is sharpest
_IN_STEP = 0.75  # mean correlation of a region's sharpness with the order of the frames


def is_focus_stack(shots: Sequence[BurstFrame]) -> bool:
    """Return whether the sharp region moves evenly through a framing that stays."""
    if len(shots) < _LEAST_IN_STACK or not keeps_framing(shots, _STEADY):
        return False
    exposures = [shot.exposure.light_ev for shot in shots]
    known = [light for light in exposures if light is not None]
    if known and max(known) - min(known) >= LIGHT_STEP_EV:
        return False
    travel = focus_travel([shot.descriptor.sharpness for shot in shots if shot.descriptor])
    if travel.sharp_once < _SHARP_ONCE or travel.peaks < _LEAST_PEAKS:
        return False
    if travel.distance >= _FOCUS_MOVES_FIXED and keeps_framing(shots, _FIXED):
        return True
    is_in_step = travel.distance >= _FOCUS_MOVES and travel.in_step >= _IN_STEP
    return is_in_step and len(shots) >= _LEAST_IN_HAND


@dataclass(frozen=True)
class FocusTravel:
    """How the sharp region moves through a series of frames."""

    distance: float
    """Mean range of a region's own sharpness, in sixteenths of a doubling."""
    in_step: float
    """Mean correlation of a region's sharpness with the order of the frames, without its sign."""
    sharp_once: float
    """Share of all rise and fall of sharpness that leads to one peak: 1 when each region is sharp once."""
    peaks: int
    """Frames in which some region is sharpest."""


def focus_travel(sharpness: Sequence[bytes]) -> FocusTravel:
    """Return how the sharp region moves between frames.

    A shake blurs all regions alike. For distance and step it is taken out: what is left is where it is sharp.
    """
    regions = SHARP_COLUMNS * SHARP_ROWS
    means = [sum(frame) / regions for frame in sharpness]
    frames = list(zip(sharpness, means, strict=True))
    own = _moving([[frame[region] - mean for frame, mean in frames] for region in range(regions)])
    whole = _moving([[float(frame[region]) for frame in sharpness] for region in range(regions)])
    if not own or not whole:
        return FocusTravel(0.0, 0.0, 0.0, 0)
    places = range(len(sharpness))
    return FocusTravel(
        statistics.fmean(max(values) - min(values) for values in own),
        statistics.fmean(abs(statistics.correlation(places, values)) for values in own),
        statistics.fmean(
            (2 * max(values) - values[0] - values[-1])
            / sum(abs(after - before) for before, after in pairwise(values))
            for values in whole
        ),
        len({values.index(max(values)) for values in whole}),
    )


def _moving(values: list[list[float]]) -> list[list[float]]:
    """Return the half of the regions whose sharpness changes most; those that do not change are left out."""
    ranges = [max(each) - min(each) for each in values]
    least = statistics.median(ranges)
    return [each for each, moves in zip(values, ranges, strict=True) if moves >= least and moves > 0]


def keeps_framing(shots: Sequence[BurstFrame], least: float) -> bool:
    """Return whether each frame agrees with the next one at the same place."""
    for first, second in pairwise(shots):
        one, other = first.descriptor, second.descriptor
        if one is None or other is None or likeness.compare(one, other, least, reach=1).agreement < least:
            return False
    return True
