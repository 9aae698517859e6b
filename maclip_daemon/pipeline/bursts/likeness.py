"""How alike two pictures are, also when one is shifted against the other. Pure functions of descriptors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from maclip_daemon.photos.shots.descriptor_layout import BITS, GRID, Descriptor

LEAST_BITS = 90  # comparable differences (of 800); with fewer, agreement is chance
CAMERA_SHAKE = 2  # cells, a tenth of the frame: how far hands move between two frames of a burst


@dataclass(frozen=True, slots=True)
class Likeness:
    """How well two pictures agree at the best shift of the second against the first."""

    agreement: float
    """Share of the brightness differences that have the same sign: .5 is chance, 1 the same picture."""
    compared: int
    """Differences that both pictures know."""
    right: int = 0
    """Cells by which the content moved to the right, of 20."""
    below: int = 0
    """Cells by which the content moved down."""


UNLIKE = Likeness(0.5, 0)


@cache
def _valid(right: int, below: int) -> int:
    """Return the cells of the second picture onto which a shift moves cells of the first."""
    bits = 0
    for row in range(max(0, below), min(GRID, GRID + below)):
        for column in range(max(0, right), min(GRID, GRID + right)):
            bits |= 1 << (row * GRID + column)
    return bits


_ALL = (1 << BITS) - 1


def at_shift(first: Descriptor, second: Descriptor, right: int, below: int) -> Likeness:
    """Return the agreement where the content of `first` lies so many cells further in `second`."""
    distance = below * GRID + right
    valid = _valid(right, below)
    if distance >= 0:
        across, across_known = first.across << distance, first.across_known << distance
        down, down_known = first.down << distance, first.down_known << distance
    else:
        across, across_known = first.across >> -distance, first.across_known >> -distance
        down, down_known = first.down >> -distance, first.down_known >> -distance
    across_known &= second.across_known & valid
    down_known &= second.down_known & valid
    compared = across_known.bit_count() + down_known.bit_count()
    if not compared:
        return UNLIKE
    differing = ((across ^ second.across) & across_known).bit_count()
    differing += ((down ^ second.down) & down_known).bit_count()
    return Likeness(1 - differing / compared, compared, right, below)


@cache
def _shifts(across: int, down: int) -> tuple[tuple[int, int], ...]:
    """Return all shifts up to these, the smallest first."""
    found = [(x, y) for x in range(-across, across + 1) for y in range(-down, down + 1)]
    return tuple(sorted(found, key=lambda shift: (abs(shift[0]) + abs(shift[1]), shift)))


def compare(
    first: Descriptor, second: Descriptor, enough: float = 1.0, reach: int = CAMERA_SHAKE
) -> Likeness:
    """Return the likeness at the best shift of at most `reach` cells; `UNLIKE` where too little is known.

    It stops at the first shift, the smallest first, with `enough` agreement.
    """
    best = UNLIKE
    for right, below in _shifts(reach, reach):
        found = at_shift(first, second, right, below)
        if found.compared >= LEAST_BITS and found.agreement > best.agreement:
            best = found
            if best.agreement >= enough:
                break
    return best


def overlap(first: Descriptor, second: Descriptor) -> Likeness:
    """Return the likeness at the best large shift, as between neighbouring frames of a panorama."""
    best = _best(first, second, _COARSE)
    if best.agreement < _WORTH_REFINING:
        return UNLIKE
    right, below = best.right, best.below
    around = [(right + x, below + y) for x in range(-1, 2) for y in range(-2, 3)]
    return _best(first, second, around)


_WORTH_REFINING = 0.64
_FARTHEST = 15  # cells: a quarter of the frame must overlap
_COARSE = [
    *((sign * distance, 0) for distance in range(3, _FARTHEST + 1, 2) for sign in (1, -1)),
    *((0, sign * distance) for distance in range(3, _FARTHEST + 1, 2) for sign in (1, -1)),
]


def _best(first: Descriptor, second: Descriptor, shifts: Iterable[tuple[int, int]]) -> Likeness:
    best = UNLIKE
    for right, below in shifts:
        found = at_shift(first, second, right, below)
        if found.compared >= LEAST_BITS and found.agreement > best.agreement:
            best = found
    return best


def colour_distance(first: Descriptor, second: Descriptor) -> float:
    """Return the mean difference of colour over the cells, in grey levels."""
    pairs = zip(first.colours, second.colours, strict=True)
    return sum(abs(one - other) for one, other in pairs) / len(first.colours)
