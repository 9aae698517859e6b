"""All groups of a library at once: in the order of each camera, a few thousand photos at a time."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from maclip_daemon.library.photos import burst_frames
from maclip_daemon.library.photos.burst_frames import Key
from maclip_daemon.library.storage.database import Library, Session
from maclip_daemon.pipeline.bursts.grouping import group_linked
from maclip_daemon.pipeline.bursts.links import NEIGHBOURS, Link, links
from maclip_daemon.pipeline.bursts.regrouping import Ask, frame_of, regroup_all, store_groups

MANY = 5000  # stale photos
CHUNK = 4000  # photos in one transaction; a longer chain of links makes it longer
_FIRST: Key = (-(1 << 63), "", -1)


def rebuild(library: Library, spread: float, ask: Ask) -> Iterator[None]:
    """Find all groups of the series with stale photos again; yield after each transaction."""
    with library.reading() as session:
        every = burst_frames.all_series(session)
    for series in every:
        place: Key | None = _FIRST
        while place is not None:
            with _uncollected():
                place = _rebuild_chunk(library, series, place, spread, ask)
            yield
    regroup_all(library, spread, ask)  # those that are missing leave their groups


def is_worthwhile(session: Session) -> bool:
    """Return whether so many photos are stale that going through whole series is quicker."""
    return burst_frames.count_stale(session, MANY) >= MANY


@contextmanager
def _uncollected() -> Iterator[None]:
    """Pause Python's search for circles of objects: a chunk makes a hundred thousand, none in a circle."""
    was_searching = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_searching:
            gc.enable()


def _rebuild_chunk(library: Library, series: int, place: Key, spread: float, ask: Ask) -> Key | None:
    """Store the groups from a place on; return where the next chunk begins, None at the end."""
    count = CHUNK
    with library.writing() as session:
        while True:
            rows = burst_frames.following(session, series, place, count)
            frames = [frame_of(row, is_exact=series > 0) for row in rows]
            pairs = list(links(frames))
            is_last = len(rows) < count
            end = len(rows) if is_last else _cut(len(rows), pairs)
            if end > 0 or is_last:
                break
            count *= 4
        chunk = frames[:end]
        found = group_linked(chunk, [pair for pair in pairs if pair[1] < end])
        ask(session, store_groups(session, found, chunk, spread, {}))
        burst_frames.mark_fresh(session, [frame.photo_id for frame in chunk])
    return None if is_last else frames[end].order


def _cut(count: int, pairs: Sequence[tuple[int, int, Link]]) -> int:
    """Return the last place that no link crosses, far enough from the end to know; 0: none."""
    crossed = [0] * (count + 1)
    for left, right, _ in pairs:
        crossed[left + 1] += 1
        crossed[right + 1] -= 1
    open_links, cut = 0, 0
    for index in range(count - NEIGHBOURS):
        open_links += crossed[index]
        if open_links == 0:
            cut = index
    return cut
