"""Are two frames that follow each other alike? Pure functions of frames, and of their descriptors."""

from __future__ import annotations

from typing import NamedTuple

from maclip_daemon.photos.shots.descriptor_layout import Descriptor
from maclip_daemon.pipeline.bursts import likeness
from maclip_daemon.pipeline.bursts.burst_frame import BurstFrame

# Agreement of the descriptors (docs/bursts.md has the distributions). Re-framed frames of a scene agree by
# .75 and more, other scenes by less than .64 in 95 of 100 pairs, .72 in 99.
ALIKE = 0.70
ALIKE_IN_BRACKET = 0.62
ALIKE_WITHOUT_TIME = 0.78
ALIKE_AT_OTHER_LEVEL = 0.88  # a bracket that EXIF does not note has .96; a night and a day have not
_COLOURS, _COLOURS_WITHOUT_TIME = 14.0, 8.0  # grey levels
_COLOURS_FOR_EACH_EV = 6.0
_ALIKE_LEVELS_EV = 1.5  # of brightness between frames of a burst, whose flash may have failed
_COLOURS_OF_PLAIN = 4.0  # of pictures whose agreement is no more than chance
_PLAIN_BITS = 2 * likeness.LEAST_BITS  # of 800; with fewer, two pictures may have too few in common
_BEYOND_CHANCE_FAINT = 0.8
_COLOURS_OF_EQUALLY_PLAIN, _LEVELS_OF_PLAIN_EV = 2.0, 0.4
_CLIPPED = 0.98  # share of the pixels
_UNMOVED, _COLOURS_OF_UNMOVED, _LEVELS_OF_UNMOVED_EV = 0.97, 1.0, 0.2  # a tripod, and the same light


class Alikeness(NamedTuple):
    """Whether two frames are alike."""

    is_alike: bool
    agreement: float
    """How well their structure agrees at the best small shift; 1 where it was not looked for to the end."""


def is_unmoved(one: Descriptor, other: Descriptor) -> bool:
    """Return whether nothing moved between two pictures, whatever they show."""
    found = likeness.at_shift(one, other, 0, 0)
    return (
        found.compared >= likeness.LEAST_BITS
        and found.agreement >= _UNMOVED
        and abs(one.level - other.level) <= _LEVELS_OF_UNMOVED_EV
        and likeness.colour_distance(one, other) <= _COLOURS_OF_UNMOVED
        and likeness.beyond_chance(one, other, found) >= _UNMOVED
    )


def judge(first: BurstFrame, second: BurstFrame) -> Alikeness:
    """Return whether two frames with descriptors, shot close together, are alike."""
    one, other = first.descriptor, second.descriptor
    assert one is not None
    assert other is not None
    if not first.is_exact:
        least, colours = ALIKE_WITHOUT_TIME, _COLOURS_WITHOUT_TIME
    elif _may_be_bracket(first, second):
        least, colours = ALIKE_IN_BRACKET, float("inf")
    else:
        least, colours = ALIKE, _COLOURS
    steps = abs(one.level - other.level)
    if steps > _ALIKE_LEVELS_EV and not _may_be_bracket(first, second):
        least = max(least, ALIKE_AT_OTHER_LEVEL)
    colours += _COLOURS_FOR_EACH_EV * min(steps, _ALIKE_LEVELS_EV)
    distance = likeness.colour_distance(one, other)
    if distance > colours:
        return Alikeness(False, 1.0)
    found = likeness.compare(one, other, enough=least)
    if found.agreement >= least:
        return Alikeness(is_evidence(one, other, found, least, distance), 1.0)
    is_faint = first.is_exact and found is likeness.UNLIKE and _is_faintly_alike(one, other)
    is_plain = first.is_exact and _are_equally_plain(one, other, distance, steps)
    return Alikeness(is_faint or is_plain, found.agreement)


def _is_faintly_alike(one: Descriptor, other: Descriptor) -> bool:
    found = likeness.compare_faint(one, other)
    return found is not likeness.UNLIKE and likeness.beyond_chance(one, other, found) >= _BEYOND_CHANCE_FAINT


def _are_equally_plain(one: Descriptor, other: Descriptor, distance: float, steps: float) -> bool:
    """Return whether two pictures have next to no structure, and the same light and colours everywhere.

    A wall, fog, a sheet of paper: between frames that follow each other at once that is all there is to
    compare. Of pictures that are nothing but black, or nothing but white, not even that is known.
    """
    return (
        one.known_bits < _PLAIN_BITS
        and other.known_bits < _PLAIN_BITS
        and (one.known & other.known).bit_count() < likeness.FAINT_BITS  # what both know must not differ
        and steps <= _LEVELS_OF_PLAIN_EV
        and distance <= _COLOURS_OF_EQUALLY_PLAIN
        and max(one.black_share, other.black_share) < _CLIPPED
        and min(one.white_share, other.white_share) < _CLIPPED
    )


def is_evidence(
    one: Descriptor, other: Descriptor, found: likeness.Likeness, least: float, distance: float
) -> bool:
    """Return whether pictures agree beyond chance; plain ones, such as two skies, must have equal colours."""
    if likeness.beyond_chance(one, other, found) >= least:
        return True
    steps = abs(one.level - other.level)
    return distance <= _COLOURS_OF_PLAIN + _COLOURS_FOR_EACH_EV * min(steps, _ALIKE_LEVELS_EV)


def _may_be_bracket(first: BurstFrame, second: BurstFrame) -> bool:
    one, other = first.exposure, second.exposure
    return (one.is_bracketed and other.is_bracketed) or (
        one.bias_ev is not None and other.bias_ev is not None and abs(one.bias_ev - other.bias_ev) >= 0.3
    )
