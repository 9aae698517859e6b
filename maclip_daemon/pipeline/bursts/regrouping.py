"""Keeps the stored groups right: photos that came, left or changed are grouped again with their neighbours.

The groups are those that `grouping.group` would find in all frames of the camera. A link depends on a few
neighbours alone, so it is enough to read as far as the links of the changed places reach.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from maclip_daemon.library.photos import burst_frames
from maclip_daemon.library.photos.burst_frames import FrameRow, Key
from maclip_daemon.library.results import burst_groups
from maclip_daemon.library.results.burst_groups import GroupRow
from maclip_daemon.library.storage.database import Library, Session
from maclip_daemon.pipeline import pairing
from maclip_daemon.pipeline.bursts import best_frame
from maclip_daemon.pipeline.bursts.burst_frame import NO_EXPOSURE, BurstFrame, Exposure
from maclip_daemon.pipeline.bursts.grouping import FrameGroup, components_of, group_linked
from maclip_daemon.pipeline.bursts.links import NEIGHBOURS, Compared, Link, links

AT_ONCE = 500  # stale photos in one transaction
Ask = Callable[[Session, Sequence[int]], None]
"""Asks for the ratings of photos whose group or place in it is another one, in the same transaction."""


@dataclass(frozen=True)
class Regrouped:
    """What a call of `regroup` did."""

    stale: int
    """Photos whose groups were found again."""
    changed: tuple[int, ...]
    """Photos whose group or place in it is another one now."""


def regroup(session: Session, spread: float, limit: int = AT_ONCE) -> Regrouped:
    """Find the groups of up to `limit` stale photos again."""
    by_series: dict[int, list[_Change]] = defaultdict(list)
    found = burst_frames.stale(session, limit)
    for series, key, burst_id, is_present in found:
        by_series[series].append(_Change(key, burst_id, is_present))
    changed: list[int] = []
    for series, changes in by_series.items():
        for together in _clusters(session, series, sorted(changes, key=lambda change: change.key)):
            changed += _regroup_cluster(session, series, together, spread)
    burst_frames.mark_fresh(session, [key[2] for _, key, _, _ in found])
    return Regrouped(len(found), tuple(changed))


def regroup_all(library: Library, spread: float, ask: Ask) -> None:
    """Find the groups of all stale photos again, a transaction for each `AT_ONCE`."""
    with library.reading() as session:
        if not burst_frames.has_stale(session):
            return
    while True:
        with library.writing() as session:
            found = regroup(session, spread)
            ask(session, found.changed)
        if found.stale < AT_ONCE:
            return


@dataclass(frozen=True)
class _Change:
    """A place in a camera's order whose links must be found again."""

    key: Key
    burst_id: int | None
    is_present: bool


@dataclass
class _Cluster:
    """Changes whose neighbourhoods overlap."""

    first: Key
    last: Key
    changes: list[_Change]


def _clusters(session: Session, series: int, changes: Sequence[_Change]) -> Iterator[_Cluster]:
    current: _Cluster | None = None
    for change in changes:
        before = burst_frames.places_before(session, series, change.key, NEIGHBOURS)
        behind = burst_frames.places_from(session, series, change.key, NEIGHBOURS + 1)
        first, last = min([*before, change.key]), max([*behind, change.key])
        if current is not None and first <= current.last:
            current.last = max(current.last, last)
            current.changes.append(change)
            continue
        if current is not None:
            yield current
        current = _Cluster(first, last, [change])
    if current is not None:
        yield current


def _regroup_cluster(session: Session, series: int, cluster: _Cluster, spread: float) -> list[int]:
    """Store the groups around these changes; return the present photos whose place is another one now."""
    frames, pairs, touched = _reach(session, series, cluster)
    inside = [pair for pair in pairs if frames[pair[0]].photo_id in touched]
    groups = group_linked(frames, inside)
    gone = {change.key[2]: change.burst_id for change in cluster.changes if not change.is_present}
    return store_groups(session, groups, [each for each in frames if each.photo_id in touched], spread, gone)


def store_groups(
    session: Session,
    groups: Sequence[FrameGroup],
    frames: Sequence[BurstFrame],
    spread: float,
    gone: Mapping[int, int | None],
) -> list[int]:
    """Store the groups of these frames; return the photos whose place is another one now.

    `gone`: the former groups of photos that left, by their ids.
    """
    grouped = {frame.photo_id for found in groups for frame in found.frames}
    places = {frame.photo_id: (frame.burst_id, frame.burst_rank) for frame in frames}
    alone = [number for number, (burst_id, _) in places.items() if burst_id and number not in grouped]
    burst_groups.leave(session, [*alone, *gone])
    former = {number: burst_id for number, (burst_id, _) in places.items()}
    rows = [_row(found, spread) for found in groups]
    numbers = burst_groups.replace(session, _former_numbers(groups, former), rows)
    changed = alone + [
        photo_id
        for number, row in zip(numbers, rows, strict=True)
        for photo_id, rank in row.ranks.items()
        if places[photo_id] != (number, rank)
    ]
    doubtful = {*former.values(), *gone.values()} - {None, *numbers}
    burst_frames.remove_empty(session, [number for number in doubtful if number is not None])
    return changed


def _reach(
    session: Session, series: int, cluster: _Cluster
) -> tuple[list[BurstFrame], list[tuple[int, int, Link]], set[int]]:
    """Return the frames as far as the links of the changed places reach, all links, and which they touch."""
    rows = burst_frames.between(session, series, cluster.first, cluster.last)
    frames = [frame_of(row, is_exact=series > 0) for row in rows]
    at = range(len(frames))
    left = _Side(partial(burst_frames.before, session, series), cluster.first)
    right = _Side(partial(burst_frames.behind, session, series), cluster.last)
    compared = Compared()
    while True:
        further = [frame_of(row, is_exact=series > 0) for row in reversed(left.read())]
        frames = [*further, *frames, *(frame_of(row, is_exact=series > 0) for row in right.read())]
        at = range(at.start + len(further), at.stop + len(further))
        pairs = list(links(frames, compared=compared))
        linked = {*at}.union(*(part for part in components_of(pairs) if any(index in at for index in part)))
        left.is_open = not left.is_at_end and min(linked, default=NEIGHBOURS) < NEIGHBOURS
        right.is_open = not right.is_at_end and max(linked, default=0) >= len(frames) - NEIGHBOURS
        if not (left.is_open or right.is_open):
            return frames, pairs, {frames[index].photo_id for index in linked}


@dataclass
class _Side:
    """How far the neighbours before or behind some places were read."""

    reading: Callable[[Key, int], list[FrameRow]]
    """Returns up to so many rows beyond a place, the nearest first."""
    farthest: Key
    step: int = NEIGHBOURS
    """Rows to read next: few at first, because most groups are small."""
    is_first: bool = True
    is_open: bool = True
    is_at_end: bool = False

    def read(self) -> list[FrameRow]:
        """Return the next rows where this side is open."""
        if not self.is_open:
            return []
        rows = self.reading(self.farthest, self.step)
        self.is_at_end = len(rows) < self.step
        if rows:
            self.farthest = _key(rows[-1])
        self.step *= 1 if self.is_first else 4
        self.is_first = False
        return rows


def _key(row: FrameRow) -> Key:
    return row.moment, row.name_order, row.photo_id


def frame_of(row: FrameRow, *, is_exact: bool) -> BurstFrame:
    """Return a stored row as grouping sees it."""
    return BurstFrame(
        photo_id=row.photo_id,
        moment_us=row.moment,
        is_exact=is_exact,
        folder_id=row.folder_id,
        file_name=row.file_name,
        role=pairing.role_of(row.file_name),
        width=row.width or 0,
        height=row.height or 0,
        pixel_hash=row.pixel_hash,
        exposure=_exposure_of(row),
        packed=row.descriptor,
        score=row.score,
        burst_id=row.burst_id,
        burst_rank=row.burst_rank,
    )


def _exposure_of(row: FrameRow) -> Exposure:
    noted = (row.exposure_s, row.aperture, row.iso, row.bias_ev, row.focal_mm)
    if noted == _NOTHING_NOTED and not row.is_bracketed:
        return NO_EXPOSURE
    return Exposure(*noted, row.is_bracketed)


_NOTHING_NOTED = (None,) * 5


def _former_numbers(groups: Sequence[FrameGroup], former: Mapping[int, int | None]) -> list[int | None]:
    """Return the number that each group keeps: that of the most of its photos, each number once."""
    shares = [
        (count, -index, number)
        for index, found in enumerate(groups)
        for number, count in Counter(former.get(frame.photo_id) for frame in found.frames).items()
        if number is not None
    ]
    kept: list[int | None] = [None] * len(groups)
    taken: set[int] = set()
    for _, index, number in sorted(shares, reverse=True):
        if kept[-index] is None and number not in taken:
            kept[-index] = number
            taken.add(number)
    return kept


def _row(found: FrameGroup, spread: float) -> GroupRow:
    ranking = best_frame.rank(found, spread)
    frames = found.frames
    is_judged = ranking.margin is not None
    return GroupRow(
        kind=found.kind.value,
        members=len(found.shots) if len(found.shots) > 1 else len(frames),
        best_id=ranking.best,
        margin=ranking.margin,
        spread=spread if is_judged else None,
        is_close=ranking.is_close,
        first_moment=min(frame.moment_us for frame in frames),
        last_moment=max(frame.moment_us for frame in frames),
        ranks={frame.photo_id: ranking.ranks.get(frame.photo_id) for frame in frames},
    )
