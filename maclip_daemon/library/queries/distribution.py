"""The distribution of the active scores, for `maclip stats`: histogram, quartiles, folders and months."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

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


def score_summary(snapshot: sqlite3.Connection) -> ScoreSummary | None:
    """Return a summary of the active scores; None: there are none."""
    count, mean = snapshot.execute(
        f"SELECT count(*), avg(score) FROM scores WHERE scoring_config_id = {ACTIVE_CONFIG}"
    ).fetchone()
    if not count:
        return None
    points = [_at(snapshot, round(share * (count - 1))) for share in (0, 0.25, 0.5, 0.75, 1)]
    return ScoreSummary(count, mean, *points)


def _at(snapshot: sqlite3.Connection, position: int) -> float:
    (score,) = snapshot.execute(
        f"SELECT score FROM scores WHERE scoring_config_id = {ACTIVE_CONFIG} ORDER BY score LIMIT 1 OFFSET ?",
        (position,),
    ).fetchone()
    return float(score)


def histogram(snapshot: sqlite3.Connection, bins: int = 20) -> list[Bin]:
    """Count the active scores in `bins` equal steps from the lowest to the highest; equal scores: one bar."""
    summary = score_summary(snapshot)
    if summary is None:
        return []
    width = (summary.highest - summary.lowest) / bins
    if width == 0:
        return [Bin(summary.lowest, summary.highest, summary.photo_count)]
    counted = dict(
        snapshot.execute(
            f"SELECT min(CAST((score - ?) / ? AS INTEGER), ?), count(*) FROM scores"
            f" WHERE scoring_config_id = {ACTIVE_CONFIG} GROUP BY 1",
            (summary.lowest, width, bins - 1),
        ).fetchall()
    )
    return [
        Bin(summary.lowest + step * width, summary.lowest + (step + 1) * width, counted.get(step, 0))
        for step in range(bins)
    ]


def by_folder(snapshot: sqlite3.Connection) -> list[GroupSummary]:
    """Return a summary of the active scores of each folder, the lowest mean first."""
    rows = snapshot.execute(
        "SELECT f.path, g.number, g.mean, g.lowest, g.highest FROM (SELECT folder_id, count(*) AS number,"
        " avg(score) AS mean, min(score) AS lowest, max(score) AS highest"
        f" FROM scores WHERE scoring_config_id = {ACTIVE_CONFIG} GROUP BY folder_id) g"
        " JOIN folders f ON f.id = g.folder_id ORDER BY g.mean"
    )
    return [GroupSummary(stored_paths.restored(path), *rest) for path, *rest in rows]


def by_month(snapshot: sqlite3.Connection) -> list[GroupSummary]:
    """Return a summary of the active scores of each month ("2026-11", "unknown") of capture, in order.

    NOT INDEXED: in the order of an index, a million photos are a million reads all over the file.
    """
    rows = snapshot.execute(
        "SELECT coalesce(substr(p.taken_at, 1, 7), 'unknown') AS month, count(*), avg(s.score), min(s.score),"
        " max(s.score) FROM scores s NOT INDEXED CROSS JOIN photos p ON p.id = s.photo_id"
        f" WHERE s.scoring_config_id = {ACTIVE_CONFIG} GROUP BY month ORDER BY month"
    )
    return [GroupSummary(*row) for row in rows]
