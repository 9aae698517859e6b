"""The worst and the best photos of a filter.

Every function takes a `snapshot` of a library (`Library.snapshot`, `ReadOnlyLibrary.snapshot`).
"""

from __future__ import annotations

import json
import sqlite3

from maclip_daemon.library.queries.finding import score_order
from maclip_daemon.library.queries.finding.photo_filter import EVERYTHING, PhotoFilter
from maclip_daemon.library.queries.finding.score_order import Direction
from maclip_daemon.library.queries.photo_rows import PhotoRow, photo_row
from maclip_daemon.library.storage.sql_views import QUALITY_OF_SCORES

WHOLE_KINDS = frozenset({"bracket", "panorama", "focus stack", "time lapse"})


def worst(
    snapshot: sqlite3.Connection, count: int, chosen: PhotoFilter = EVERYTHING, *, one_a_moment: bool = False
) -> list[PhotoRow]:
    """Return the photos with the lowest scores, lowest first.

    Missing and failed photos, and those that wait to be scored again, are left out. `one_a_moment`: of a
    RAW+JPEG shot only the RAW, of a burst or of duplicates only the lowest; brackets, panoramas, stacks and
    time lapses are never weak, unless the filter asks for them.
    """
    return _first(snapshot, count, chosen, "ASC", one_a_moment=one_a_moment)


def best(
    snapshot: sqlite3.Connection, count: int, chosen: PhotoFilter = EVERYTHING, *, one_a_moment: bool = False
) -> list[PhotoRow]:
    """Return the photos with the highest scores, highest first.

    `one_a_moment`: of photos of one moment only the highest.
    """
    return _first(snapshot, count, chosen, "DESC", one_a_moment=one_a_moment)


def _first(
    snapshot: sqlite3.Connection, count: int, chosen: PhotoFilter, order: Direction, *, one_a_moment: bool
) -> list[PhotoRow]:
    asked = count
    while True:
        found = score_order.first_scores(snapshot, chosen, asked, order, each_file=not one_a_moment)
        rows = _rows(snapshot, found, order)
        if not one_a_moment:
            return rows
        rows = _one_a_moment(rows, leave_whole=order == "ASC" and chosen.kind not in WHOLE_KINDS)
        if len(rows) >= count or len(found) < asked:
            return rows[:count]
        asked *= 4


def _one_a_moment(rows: list[PhotoRow], *, leave_whole: bool) -> list[PhotoRow]:
    seen: set[int | None] = set()
    chosen = []
    for row in rows:
        if (row.burst_id is not None and row.burst_id in seen) or (
            leave_whole and row.burst_kind in WHOLE_KINDS
        ):
            continue
        chosen.append(row)
        seen.add(row.burst_id)
    return chosen


def _rows(snapshot: sqlite3.Connection, score_ids: list[int], order: Direction) -> list[PhotoRow]:
    rows = snapshot.execute(
        f"{QUALITY_OF_SCORES} WHERE s.id IN (SELECT value FROM json_each(?)) ORDER BY s.score {order}, s.id",
        (json.dumps(score_ids),),
    )
    return [photo_row(row) for row in rows]
