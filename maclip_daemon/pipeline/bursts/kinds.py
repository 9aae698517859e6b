"""What a group of shots is: a burst, a bracket, a panorama, a focus stack, or a time lapse.

Only what is sure is named so; the rest is a burst. A bracket that passed for a burst would lose its frames to
the best of them, so a ladder of brightness alone is enough for a bracket.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise

from maclip_daemon.pipeline.bursts import likeness
from maclip_daemon.pipeline.bursts.burst_frame import BurstFrame
from maclip_daemon.pipeline.bursts.focus_stack import LIGHT_STEP_EV, is_focus_stack, keeps_framing


class BurstKind(StrEnum):
    """What a group is."""

    BURST = "burst"
    BRACKET = "bracket"
    PANORAMA = "panorama"
    FOCUS_STACK = "focus stack"
    DUPLICATE = "duplicate"
    TIME_LAPSE = "time lapse"


RANKED = frozenset({BurstKind.BURST, BurstKind.DUPLICATE})
"""Kinds in which one frame is better than the others."""

_BIAS_STEP_EV = 0.3
_FOLLOWING = 0.25  # share of a step of light that must show in the picture
_LEVEL_STEP_EV, _LEVEL_RANGE_EV = 0.3, 0.6  # of the picture, where the settings are not known
_SAME_FRAMING = 0.9  # agreement at a small shift beside which no large one is looked for
_MOVING_ON = 3  # cells a frame: a seventh of the picture
_SHARE_ONWARD = 0.8  # of the moves of a panorama
_LEAST_IN_PATTERN = 3
_LEAST_IN_LAPSE, _LEAST_IN_QUICK_LAPSE = 8, 20
_QUICK_LAPSE_S, _SLOW_LAPSE_S = 0.9, 1.9
_LONGEST_LOOK = 24  # shots of a large group that decide its kind


def kind_of(shots: Sequence[BurstFrame]) -> BurstKind:
    """Return the kind of a group of at least two shots in order, each by one of its files."""
    return pattern_of(shots) or BurstKind.BURST


def pattern_of(shots: Sequence[BurstFrame]) -> BurstKind | None:
    """Return the kind of a group that is kept whole; None for what may be a burst."""
    looked_at = shots[:_LONGEST_LOOK]
    if is_time_lapse(shots):
        return BurstKind.TIME_LAPSE
    if is_bracket(looked_at):
        return BurstKind.BRACKET
    if is_panorama(looked_at):
        return BurstKind.PANORAMA
    if is_focus_stack(looked_at):
        return BurstKind.FOCUS_STACK
    return None


def is_bracket(shots: Sequence[BurstFrame]) -> bool:
    """Return whether the exposures make a ladder: by the camera, its settings, or the brightness alone."""
    exposures = [shot.exposure for shot in shots]
    if sum(exposure.is_bracketed for exposure in exposures) * 2 > len(shots):
        return True
    biases = [exposure.bias_ev for exposure in exposures if exposure.bias_ev is not None]
    if len(biases) == len(shots) and max(biases) - min(biases) >= _BIAS_STEP_EV:
        return True
    lights = [exposure.light_ev for exposure in exposures]
    levels = [shot.descriptor.level for shot in shots if shot.descriptor is not None]
    if len(levels) < len(shots):
        return False
    known = [light for light in lights if light is not None]
    if len(known) == len(shots):
        return _is_light_ladder(known, levels)
    return _is_brightness_ladder(levels)


def _is_light_ladder(lights: Sequence[float], levels: Sequence[float]) -> bool:
    """Return whether settings differ and the picture follows; automatic exposure keeps it as bright."""
    if max(lights) - min(lights) < LIGHT_STEP_EV:
        return False
    steps = [
        (light - other_light, level - other_level)
        for index, (light, level) in enumerate(zip(lights, levels, strict=True))
        for other_light, other_level in zip(lights[:index], levels[:index], strict=True)
        if abs(light - other_light) >= LIGHT_STEP_EV
    ]
    following = sum(by_picture / by_settings >= _FOLLOWING for by_settings, by_picture in steps)
    return following >= 0.8 * len(steps)


def _is_brightness_ladder(levels: Sequence[float]) -> bool:
    """Return whether the frames fall into as many steps of brightness as repeat evenly."""
    ordered = sorted(levels)
    if ordered[-1] - ordered[0] < _LEVEL_RANGE_EV:
        return False
    sizes = [1]
    for below, above in pairwise(ordered):
        if above - below >= _LEVEL_STEP_EV:
            sizes.append(1)
        else:
            sizes[-1] += 1
    return len(sizes) >= 2 and len(set(sizes)) == 1


def is_panorama(shots: Sequence[BurstFrame]) -> bool:
    """Return whether the frames overlap and move on in one direction."""
    if len(shots) < _LEAST_IN_PATTERN:
        return False
    moves: list[tuple[int, int]] = []
    pairs = len(shots) - 1
    for first, second in pairwise(shots):
        one, other = first.descriptor, second.descriptor
        if one is None or other is None:
            return False
        found = likeness.compare(one, other)
        if found.agreement < _SAME_FRAMING:
            far = likeness.overlap(one, other)
            found = found if found.agreement >= far.agreement else far
        moves.append((found.right, found.below))
        if not any(_may_move_on(moves, axis, pairs) for axis in (0, 1)):
            return False  # a burst ends here, mostly after its first two frames
    return any(_moves_on(moves, axis) for axis in (0, 1))


def _onward(moves: Sequence[tuple[int, int]], axis: int) -> int:
    """Return how many moves go the way that most go."""
    along = [move[axis] for move in moves]
    return max(sum(step > 0 for step in along), sum(step < 0 for step in along))


def _may_move_on(moves: Sequence[tuple[int, int]], axis: int, pairs: int) -> bool:
    """Return whether enough of all pairs go one way, if those to come do."""
    return _onward(moves, axis) + pairs - len(moves) >= _SHARE_ONWARD * pairs


def _moves_on(moves: Sequence[tuple[int, int]], axis: int) -> bool:
    along = [move[axis] for move in moves]
    across = [abs(move[1 - axis]) for move in moves]
    return (
        _onward(moves, axis) >= _SHARE_ONWARD * len(along)
        and abs(sum(along)) / len(along) >= _MOVING_ON
        and statistics.median(across) < _MOVING_ON
    )


def is_time_lapse(shots: Sequence[BurstFrame]) -> bool:
    """Return whether the frames follow each other at even intervals, with the same framing."""
    if len(shots) < _LEAST_IN_LAPSE or not all(shot.is_exact for shot in shots):
        return False
    intervals = [(after.moment_us - before.moment_us) / 1e6 for before, after in pairwise(shots)]
    usual = statistics.median(intervals)
    least = _LEAST_IN_LAPSE if usual >= _SLOW_LAPSE_S else _LEAST_IN_QUICK_LAPSE
    if usual < _QUICK_LAPSE_S or len(shots) < least:
        return False
    whole_seconds = all(shot.moment_us % 1_000_000 == 0 for shot in shots)
    slack = 0.1 * usual + (1.0 if whole_seconds else 0.1)
    if sum(abs(interval - usual) <= slack for interval in intervals) < 0.95 * len(intervals):
        return False
    return keeps_framing(shots[:_LONGEST_LOOK], 0.75)
