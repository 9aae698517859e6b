"""The distribution of the active scores, for `maclip stats`: histogram, quartiles, folders and months."""

from __future__ import annotations

import math
import sqlite3
from array import array
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

from maclip_daemon.library.queries.finding import filter_sql
from maclip_daemon.library.queries.finding.photo_filter import EVERYTHING, PhotoFilter
from maclip_daemon.library.storage import stored_paths
from maclip_daemon.library.storage.sql_views import ACTIVE_CONFIG


@dataclass(frozen=True)
class Bin:
    """One bar of the histogram: scores from `low` up to `high`."""

    low: float
    high: float
    photo_count: int


@dataclass(frozen=True)
class GroupSummary:
    """The photos of one folder or one month."""

    name: str
    photo_count: int
    mean: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class ScoreSummary:
    """All active scores in seven numbers."""

    photo_count: int
    mean: float
    lowest: float
    lower_quartile: float
    median: float
    upper_quartile: float
    highest: float


def score_summary(snapshot: sqlite3.Connection, chosen: PhotoFilter = EVERYTHING) -> ScoreSummary | None:
    """Return a summary of the active scores of a filter; None: there are none."""
    return _summary_of(_in_order(snapshot, chosen))


def _summary_of(ordered: array[float]) -> ScoreSummary | None:
    if not ordered:
        return None
    last = len(ordered) - 1
    points = [ordered[round(share * last)] for share in (0, 0.25, 0.5, 0.75, 1)]
    return ScoreSummary(len(ordered), math.fsum(ordered) / len(ordered), *points)


def histogram(snapshot: sqlite3.Connection, bins: int = 20, chosen: PhotoFilter = EVERYTHING) -> list[Bin]:
    """Count the active scores in `bins` equal steps from the lowest to the highest; equal scores: one bar."""
    ordered = _in_order(snapshot, chosen)
    summary = _summary_of(ordered)
    if summary is None:
        return []
    width = (summary.highest - summary.lowest) / bins
    if width == 0:
        return [Bin(summary.lowest, summary.highest, summary.photo_count)]
    lows = [summary.lowest + step * width for step in range(bins)]
    ends = [*(bisect_left(ordered, low) for low in lows[1:]), len(ordered)]
    return [
        Bin(low, low + width, end - start) for low, start, end in zip(lows, [0, *ends], ends, strict=False)
    ]


def by_folder(snapshot: sqlite3.Connection, chosen: PhotoFilter = EVERYTHING) -> list[GroupSummary]:
    """Return a summary of the active scores of each folder, the lowest mean first."""
    source, values = _scores(snapshot, chosen)
    rows = snapshot.execute(
        "SELECT f.path, g.number, g.mean, g.lowest, g.highest FROM (SELECT s.folder_id, count(*) AS number,"
        f" avg(s.score) AS mean, min(s.score) AS lowest, max(s.score) AS highest FROM {source}"
        " GROUP BY s.folder_id) g JOIN folders f ON f.id = g.folder_id ORDER BY g.mean",
        values,
    )
    return [GroupSummary(stored_paths.restored(path), *rest) for path, *rest in rows]


def by_month(snapshot: sqlite3.Connection, chosen: PhotoFilter = EVERYTHING) -> list[GroupSummary]:
    """Return a summary of the active scores of each month ("2026-11", "unknown") of capture, in order.

    NOT INDEXED: in the order of an index, a million photos are a million reads all over the file.
    """
    source, values = _scores(snapshot, chosen)
    if chosen == EVERYTHING:
        source = "scores s NOT INDEXED CROSS JOIN photos p ON p.id = s.photo_id"
        source += f" WHERE s.scoring_config_id = {ACTIVE_CONFIG}"
    rows = snapshot.execute(
        "SELECT coalesce(substr(p.taken_at, 1, 7), 'unknown') AS month, count(*), avg(s.score), min(s.score),"
        f" max(s.score) FROM {source} GROUP BY month ORDER BY month",
        values,
    )
    return [GroupSummary(*row) for row in rows]


def _in_order(snapshot: sqlite3.Connection, chosen: PhotoFilter) -> array[float]:
    """Return the active scores of a filter, the lowest first."""
    source, values = _scores(snapshot, chosen)
    rows = snapshot.execute(f"SELECT s.score FROM {source} ORDER BY s.score", values)
    return array("d", (score for (score,) in rows))


def _scores(snapshot: sqlite3.Connection, chosen: PhotoFilter) -> tuple[str, list[Any]]:
    """Return the source of the active scores of a filter (with `photos p` for any filter), and its values."""
    known = filter_sql.criteria(snapshot, chosen)
    where, values = known.where()
    config = f"s.scoring_config_id = {ACTIVE_CONFIG}"
    if not known.all:
        return f"scores s WHERE {config}", []
    rows, before = filter_sql.in_rows(snapshot, known.all)
    return f"{rows} CROSS JOIN scores s ON s.photo_id = p.id WHERE {config}{where}", [*before, *values]
