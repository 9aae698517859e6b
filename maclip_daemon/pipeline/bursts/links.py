"""Which photos of a camera belong together, pair by pair. Pure functions of two neighbouring frames.

A link depends on the two frames alone, and only neighbours in the camera's order are compared. So a new photo
changes nothing but the links around it, and the groups are the same in whatever order the photos arrived.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from maclip_daemon.pipeline.bursts import alike_frames, likeness
from maclip_daemon.pipeline.bursts.burst_frame import (
    BurstFrame,
    are_counted_apart,
    are_name_neighbours,
    is_name_of_copy,
)

NEIGHBOURS = 4  # places in the camera's order over which frames are compared
GAP_S = 2.0  # seconds from the end of one frame to the start of the next, in a burst
STILL_GAPS = 2.0  # gaps of a burst after which a picture that has not changed at all still belongs to it
LONG_GAP_S = 65.0  # of a time lapse, a panorama or a stack: a shot a minute is common
PANORAMA_GAP_S = 15.0
FILE_GAP_S = 60.0  # where only the file's time is known: a slow card takes a second for each photo
_LONG_NEIGHBOURS = 2
_LONGEST_EXPOSURE_S = 120.0
_FARTHEST_US = round((max(LONG_GAP_S, FILE_GAP_S) + _LONGEST_EXPOSURE_S) * 1e6)  # start to start

ALIKE_OVER_LONG = 0.80  # agreement of the descriptors, as alike_frames.ALIKE
OVERLAPPING = 0.80
SAME_PICTURE = 0.95
_COLOURS_OF_SAME = 6.0  # grey levels
_SAME_FOCAL = 0.02
_REDUCED_AREA = 0.8
_LEVEL_IN_PANORAMA = 2.0  # EV between neighbours: from the sun into the shade


class Link(Enum):
    """Why two frames belong together."""

    COPY = "copy"
    """Files of one shot: RAW and JPEG, an export, a resized copy."""
    SHORT = "short"
    """Alike and within the gap of a burst."""
    LONG = "long"
    """Alike or overlapping, but later: only a time lapse, a panorama, a stack or a bracket is made so."""


@dataclass(frozen=True)
class LinkRules:
    """What the person may set."""

    gap_s: float = GAP_S


DEFAULT_RULES = LinkRules()


class Compared:
    """What is known of pairs, by their photo ids: the same frames are compared once while a look widens."""

    def __init__(self, rules: LinkRules = DEFAULT_RULES) -> None:
        self._rules = rules
        self._short: dict[tuple[int, int], Link | None] = {}
        self._long: dict[tuple[int, int], bool] = {}
        self._unlike: set[tuple[int, int]] = set()

    def short(self, first: BurstFrame, second: BurstFrame) -> Link | None:
        """Return `link_between` of a pair."""
        key = first.photo_id, second.photo_id
        if key not in self._short:
            self._short[key], is_unlike = _judged(first, second, self._rules)
            if is_unlike:
                self._unlike.add(key)
        return self._short[key]

    def is_long(self, first: BurstFrame, second: BurstFrame) -> bool:
        """Return whether a pair may follow each other in a time lapse, a stack or a panorama."""
        key = first.photo_id, second.photo_id
        if key not in self._long:
            self._long[key] = _is_linked_over_long(first, second, is_unlike=key in self._unlike)
        return self._long[key]


def links(frames: Sequence[BurstFrame], compared: Compared | None = None) -> Iterator[tuple[int, int, Link]]:
    """Yield the linked pairs (index, index, link) of one camera's frames in order.

    Pairs that are connected already are left out: they change no group.
    """
    compared = compared or Compared()
    short, long = _Sets(len(frames)), _Sets(len(frames))
    for distance in range(1, NEIGHBOURS + 1):
        for left, (first, second) in enumerate(zip(frames, frames[distance:], strict=False)):
            right = left + distance
            if _are_far_apart(first, second) or short.find(left) == short.find(right):
                continue
            found = compared.short(first, second)
            if found is Link.COPY or found is Link.SHORT:
                short.join(left, right)
                long.join(left, right)
                yield left, right, found
            elif (
                distance <= _LONG_NEIGHBOURS
                and long.find(left) != long.find(right)
                and compared.is_long(first, second)
            ):
                long.join(left, right)
                yield left, right, Link.LONG


def _are_far_apart(first: BurstFrame, second: BurstFrame) -> bool:
    """Return whether the time between two files of different pixels rules out any link, at a glance."""
    return (
        second.moment_us - first.moment_us > _FARTHEST_US
        and first.role == second.role
        and (first.pixel_hash != second.pixel_hash or first.pixel_hash is None)
    )


def link_between(first: BurstFrame, second: BurstFrame, rules: LinkRules = DEFAULT_RULES) -> Link | None:
    """Return the link of two frames of a camera, `first` before `second`, that are shot close together."""
    return _judged(first, second, rules)[0]


def _judged(first: BurstFrame, second: BurstFrame, rules: LinkRules) -> tuple[Link | None, bool]:
    """Return the link, and whether the pictures were compared and agree at no small shift."""
    if is_copy(first, second):
        return Link.COPY, False
    if first.is_exact != second.is_exact:
        return None, False
    gap_s = gap_between(first, second)
    if first.descriptor is None or second.descriptor is None:
        return None, False
    if gap_s > (rules.gap_s if first.is_exact else max(rules.gap_s, FILE_GAP_S)):
        is_still = first.is_exact and gap_s <= STILL_GAPS * rules.gap_s
        if not is_still or not alike_frames.is_unmoved(first.descriptor, second.descriptor):
            return None, False
    if not first.is_exact and not are_name_neighbours(first.file_name, second.file_name):
        return None, False
    found = alike_frames.judge(first, second)
    return (Link.SHORT if found.is_alike else None), found.agreement < ALIKE_OVER_LONG


def gap_between(first: BurstFrame, second: BurstFrame) -> float:
    """Return the seconds from the end of one exposure to the start of the next."""
    apart_s = (second.moment_us - first.moment_us) / 1e6
    if first.exposure.seconds:
        apart_s -= min(first.exposure.seconds, _LONGEST_EXPOSURE_S)
    return apart_s if apart_s > 0 else 0.0


def is_copy(first: BurstFrame, second: BurstFrame) -> bool:
    """Return whether two files hold one shot: a RAW and its JPEG, the same picture exported or resized."""
    if first.role != second.role and _are_raw_and_developed(first, second):
        return True
    if first.pixel_hash is not None and first.pixel_hash == second.pixel_hash:
        return True
    if first.moment_us != second.moment_us and first.is_exact:
        return False
    is_one_instant = first.is_exact and first.moment_us % 1_000_000 != 0
    if (
        are_counted_apart(first.file_name, second.file_name)
        and not is_one_instant
        and not _is_much_smaller(first, second)
    ):
        return False
    is_other_file = (
        is_one_instant
        or (first.width, first.height) != (second.width, second.height)
        or first.folder_id != second.folder_id
        or is_name_of_copy(first.stem, second.stem)
    )
    if not is_other_file or first.descriptor is None or second.descriptor is None:
        return False
    if not first.is_exact and (first.width, first.height) == (second.width, second.height):
        return False
    if not _has_same_aspect(first, second):
        return False
    found = likeness.at_shift(first.descriptor, second.descriptor, 0, 0)
    is_same = found.compared >= likeness.LEAST_BITS and found.agreement >= SAME_PICTURE
    return is_same and likeness.colour_distance(first.descriptor, second.descriptor) <= _COLOURS_OF_SAME


def _are_raw_and_developed(first: BurstFrame, second: BurstFrame) -> bool:
    is_same_name = first.folder_id == second.folder_id and first.stem == second.stem
    return is_same_name and {first.role, second.role} == {"raw", "developed"}


def _is_much_smaller(first: BurstFrame, second: BurstFrame) -> bool:
    """Return whether one picture was reduced; a camera's frames have one size, a crop nearly that."""
    areas = sorted((first.width * first.height, second.width * second.height))
    return areas[0] < _REDUCED_AREA * areas[1]


def _has_same_aspect(first: BurstFrame, second: BurstFrame) -> bool:
    return (
        abs(first.width * second.height - second.width * first.height) <= 0.02 * first.width * second.height
    )


def _is_linked_over_long(first: BurstFrame, second: BurstFrame, *, is_unlike: bool) -> bool:
    """Return whether two frames may follow each other in a time lapse, a stack or a panorama.

    `is_unlike`: their structure was compared already, and agrees at no small shift.
    """
    one, other = first.descriptor, second.descriptor
    if not (first.is_exact and second.is_exact) or one is None or other is None:
        return False
    gap_s = gap_between(first, second)
    if gap_s > LONG_GAP_S or not _has_same_focal(first, second):
        return False
    found = likeness.UNLIKE if is_unlike else likeness.compare(one, other, enough=ALIKE_OVER_LONG)
    if found.agreement >= ALIKE_OVER_LONG:
        distance = likeness.colour_distance(one, other)
        return alike_frames.is_evidence(one, other, found, ALIKE_OVER_LONG, distance)
    if gap_s > PANORAMA_GAP_S or abs(one.level - other.level) > _LEVEL_IN_PANORAMA:
        return False
    found = likeness.overlap(one, other)
    is_overlapping = found.agreement >= OVERLAPPING
    return is_overlapping and likeness.beyond_chance(one, other, found) >= alike_frames.ALIKE


def _has_same_focal(first: BurstFrame, second: BurstFrame) -> bool:
    one, other = first.exposure.focal_mm, second.exposure.focal_mm
    return one is None or other is None or abs(one - other) <= _SAME_FOCAL * max(one, other)


class _Sets:
    """Disjoint sets of indices (union-find)."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def find(self, index: int) -> int:
        parents = self._parents
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    def join(self, first: int, second: int) -> None:
        first, second = self.find(first), self.find(second)
        self._parents[max(first, second)] = min(first, second)
