"""The groups of one camera's photos: a pure function of the frames, whatever order they arrived in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from maclip_daemon.pipeline.bursts.burst_frame import BurstFrame
from maclip_daemon.pipeline.bursts.kinds import BurstKind, kind_of, pattern_of
from maclip_daemon.pipeline.bursts.links import DEFAULT_RULES, Compared, Link, LinkRules, links

LARGEST_WITHOUT_TIME = 60  # frames; a larger group of copied files is no moment but a folder


@dataclass(frozen=True)
class Shot:
    """One press of the shutter: one file, or a RAW and its JPEG, or a picture and its copies."""

    files: tuple[BurstFrame, ...]
    """The leading file first."""

    @property
    def leader(self) -> BurstFrame:
        """Return the file that stands for the shot: the RAW, else the largest picture."""
        return self.files[0]


@dataclass(frozen=True)
class FrameGroup:
    """Photos that belong together, in order."""

    kind: BurstKind
    shots: tuple[Shot, ...]
    """Of a duplicate, one: its files are the same picture."""

    @property
    def frames(self) -> tuple[BurstFrame, ...]:
        """Return all files of the group, shot by shot."""
        return tuple(frame for shot in self.shots for frame in shot.files)


def group(frames: Iterable[BurstFrame], rules: LinkRules = DEFAULT_RULES) -> list[FrameGroup]:
    """Return the groups of one camera's frames. A frame is in one group at most; alone it is in none."""
    ordered = sorted(frames, key=lambda frame: frame.order)
    return group_linked(ordered, list(links(ordered, Compared(rules))))


def group_linked(ordered: Sequence[BurstFrame], pairs: Sequence[tuple[int, int, Link]]) -> list[FrameGroup]:
    """Return the groups of one camera's frames in order, whose links are known."""
    found: list[FrameGroup] = []
    parts = components_of(pairs)
    part_of = {index: number for number, members in enumerate(parts) for index in members}
    inside: list[list[tuple[int, int, Link]]] = [[] for _ in parts]
    for pair in pairs:
        inside[part_of[pair[0]]].append(pair)
    for members, own in zip(parts, inside, strict=True):
        whole = _shots(ordered, members, own)
        if any(link is Link.LONG for *_, link in own):
            pattern = pattern_of([shot.leader for shot in whole])
            if pattern is None:  # only chance: the parts within the gap of a burst are left
                found += _short_groups(ordered, own)
                continue
            found.append(FrameGroup(pattern, whole))
        else:
            found += _short_group(whole)
    return found


def components_of(pairs: Sequence[tuple[int, int, Link]]) -> list[list[int]]:
    """Return the indices of linked frames, set by set: what can influence each other's groups."""
    return _components((left, right) for left, right, _ in pairs)


def _short_groups(ordered: Sequence[BurstFrame], pairs: Sequence[tuple[int, int, Link]]) -> list[FrameGroup]:
    short = [pair for pair in pairs if pair[2] is not Link.LONG]
    found: list[FrameGroup] = []
    for part in _components((left, right) for left, right, _ in short):
        inside = set(part)
        found += _short_group(_shots(ordered, part, [pair for pair in short if pair[0] in inside]))
    return found


def _short_group(shots: tuple[Shot, ...]) -> list[FrameGroup]:
    if len(shots) == 1:
        files = shots[0].files
        is_copied = len({_without_pair(frame) for frame in files}) > 1
        return [FrameGroup(BurstKind.DUPLICATE, shots)] if is_copied else []
    if not shots[0].leader.is_exact and len(shots) > LARGEST_WITHOUT_TIME:
        return []
    return [FrameGroup(kind_of([shot.leader for shot in shots]), shots)]


def _without_pair(frame: BurstFrame) -> tuple[int, str, bool]:
    """Return what a RAW and its JPEG have in common, and no copy of either."""
    return frame.folder_id, frame.stem.lower(), frame.role is None


def _components(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the connected sets of the indices in these pairs, in order."""
    parents: dict[int, int] = {}

    def root(index: int) -> int:
        parent = parents.setdefault(index, index)
        while parent != index:
            parents[index] = index = parents[parent]
            parent = parents[index]
        return index

    for left, right in pairs:
        first, second = root(left), root(right)
        parents[max(first, second)] = min(first, second)
    sets: dict[int, list[int]] = defaultdict(list)
    for index in sorted(parents):
        sets[root(index)].append(index)
    return list(sets.values())


def _shots(
    ordered: Sequence[BurstFrame], members: Sequence[int], pairs: Sequence[tuple[int, int, Link]]
) -> tuple[Shot, ...]:
    """Return the shots of a component in order, its copies together."""
    copies = [(left, right) for left, right, link in pairs if link is Link.COPY]
    if not copies:
        return tuple(Shot((ordered[index],)) for index in members)
    together = _components(copies)
    of_copies = {index for part in together for index in part}
    parts = [*together, *([index] for index in members if index not in of_copies)]
    return tuple(
        Shot(tuple(sorted((ordered[index] for index in part), key=_leading)))
        for part in sorted(parts, key=min)
    )


def _leading(frame: BurstFrame) -> tuple[bool, int, int, str, int]:
    return (
        frame.role != "raw",
        -frame.width * frame.height,
        len(frame.file_name),
        frame.file_name,
        frame.photo_id,
    )
