"""How alike two pictures are, also when one is shifted against the other. Pure functions of descriptors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from operator import sub

from maclip_daemon.photos.shots.descriptor_layout import BITS, GRID, Descriptor

LEAST_BITS = 90  # comparable differences (of 800); with fewer, agreement is chance
FAINT_BITS, FAINT_AGREEMENT = 40, 0.92  # of frames so dark, so bright or so plain that less is known
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
    return bits | bits << BITS


@dataclass(frozen=True, slots=True)
class _Shift:
    """One shift, ready to be tried."""

    right: int
    below: int
    distance: int
    """Bits that a cell moves."""
    valid: int
    """Where a moved cell is one of the first picture's."""


@cache
def _shift(right: int, below: int) -> _Shift:
    return _Shift(right, below, below * GRID + right, _valid(right, below))


def at_shift(first: Descriptor, second: Descriptor, right: int, below: int) -> Likeness:
    """Return the agreement where the content of `first` lies so many cells further in `second`."""
    return _best(first, second, (_shift(right, below),), least_bits=1)


def compare(
    first: Descriptor, second: Descriptor, enough: float = 1.0, reach: int = CAMERA_SHAKE
) -> Likeness:
    """Return the likeness at the best shift of at most `reach` cells; `UNLIKE` where too little is known.

    It stops at the first shift, the smallest first, with `enough` agreement.
    """
    best = _best(first, second, _near(reach), enough)
    if best.agreement < _HOPELESS or best.agreement >= enough or reach < CAMERA_SHAKE:
        return best
    further = _best(first, second, _far(reach), enough)
    return further if further.agreement > best.agreement else best


def compare_faint(first: Descriptor, second: Descriptor) -> Likeness:
    """Return the likeness where few differences are known; only a nearly perfect one is no chance."""
    found = _best(first, second, _shifts(CAMERA_SHAKE), FAINT_AGREEMENT, FAINT_BITS)
    return found if found.agreement >= FAINT_AGREEMENT else UNLIKE


_HOPELESS = 0.58  # of the shifts in reach nearest by; alike pictures have .6 and more beside their best shift


@cache
def _near(reach: int) -> tuple[_Shift, ...]:
    """Return the shifts of at most `reach` cells in both directions together, the smallest first."""
    return tuple(each for each in _shifts(reach) if abs(each.right) + abs(each.below) <= reach)


@cache
def _far(reach: int) -> tuple[_Shift, ...]:
    near = set(_near(reach))
    return tuple(each for each in _shifts(reach) if each not in near)


@cache
def _shifts(reach: int) -> tuple[_Shift, ...]:
    found = [(x, y) for x in range(-reach, reach + 1) for y in range(-reach, reach + 1)]
    found.sort(key=lambda shift: (abs(shift[0]) + abs(shift[1]), shift))
    return tuple(_shift(*each) for each in found)


def overlap(first: Descriptor, second: Descriptor) -> Likeness:
    """Return the likeness at the best large shift, as between neighbouring frames of a panorama."""
    best = _best(first, second, _coarse())
    if best.agreement < _WORTH_REFINING:
        return UNLIKE
    right, below = best.right, best.below
    around = [_shift(right + x, below + y) for x in range(-1, 2) for y in range(-2, 3)]
    return _best(first, second, around)


_WORTH_REFINING = 0.64
_FARTHEST = 15  # cells: a quarter of the frame must overlap


@cache
def _coarse() -> tuple[_Shift, ...]:
    steps = [sign * distance for distance in range(3, _FARTHEST + 1, 2) for sign in (1, -1)]
    return (*(_shift(step, 0) for step in steps), *(_shift(0, step) for step in steps))


def _best(
    first: Descriptor,
    second: Descriptor,
    shifts: Iterable[_Shift],
    enough: float = 1.0,
    least_bits: int = LEAST_BITS,
) -> Likeness:
    """Return the likeness at the best of these shifts. Runs for millions of pairs: no object a shift."""
    signs, known, other_signs, other_known = first.signs, first.known, second.signs, second.known
    best, best_compared, best_shift = 0.5, 0, None
    for shift in shifts:
        distance = shift.distance
        if distance >= 0:
            both = known << distance & other_known & shift.valid
            differing = (signs << distance ^ other_signs) & both
        else:
            both = known >> -distance & other_known & shift.valid
            differing = (signs >> -distance ^ other_signs) & both
        compared, unlike = both.bit_count(), differing.bit_count()
        if compared < least_bits or unlike + unlike >= compared:
            continue
        agreement = 1 - unlike / compared
        if agreement > best:
            best, best_compared, best_shift = agreement, compared, shift
            if agreement >= enough:
                break
    if best_shift is None:
        return UNLIKE
    return Likeness(best, best_compared, best_shift.right, best_shift.below)


def beyond_chance(first: Descriptor, second: Descriptor, found: Likeness) -> float:
    """Return the agreement that a likeness has beyond chance, .5 for none (Cohen's kappa, by direction).

    Two skies become darker downwards, whatever they are skies of: that agreement says nothing.
    """
    shift = _shift(found.right, found.below)
    signs, known = (_moved(bits, shift.distance) for bits in (first.signs, first.known))
    both = known & second.known & shift.valid
    agreed = expected = 0.0
    for plane in (_PLANE, _PLANE << BITS):
        compared = (both & plane).bit_count()
        if not compared:
            continue
        one = (signs & both & plane).bit_count() / compared
        other = (second.signs & both & plane).bit_count() / compared
        differing = ((signs ^ second.signs) & both & plane).bit_count()
        agreed += compared - differing
        expected += compared * (one * other + (1 - one) * (1 - other))
    total = both.bit_count()
    if total - expected < 1:
        return 0.5
    return 0.5 + 0.5 * (agreed - expected) / (total - expected)


def _moved(bits: int, distance: int) -> int:
    return bits << distance if distance >= 0 else bits >> -distance


_PLANE = (1 << BITS) - 1


def colour_distance(first: Descriptor, second: Descriptor) -> float:
    """Return the mean difference of colour over the cells, in grey levels."""
    total: int = sum(map(abs, map(sub, first.colours, second.colours)))
    return total / len(first.colours)
