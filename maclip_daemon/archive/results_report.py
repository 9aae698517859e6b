"""The report of an archive's results: how the scores lie, the worst and best, what failed, the folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from maclip_daemon.archive.results_folder import ResultsFolder, Rows

PERCENTS = (0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 100)
BARS = 20
_COUNTED = """
CREATE TEMP TABLE counted AS SELECT address, folder, state, failure, reason, score, scored_at
FROM photos
"""
_ORIGINS = """
SELECT DISTINCT metric, model, protocol, precision, program_version FROM results
WHERE state = 'scored' OR NOT EXISTS (SELECT 1 FROM results WHERE state = 'scored')
ORDER BY ALL
"""
_TOTALS = """
SELECT count(*) AS photos, count(score) AS scored, count(*) FILTER (state = 'failed') AS failed,
  avg(score) AS mean, min(scored_at) AS first_at, max(scored_at) AS last_at FROM counted
"""
_PERCENTILES = "SELECT quantile_cont(score, {shares}) AS scores FROM counted WHERE score IS NOT NULL"
_HISTOGRAM = f"""
WITH ends AS (SELECT min(score) AS low, max(score) AS high FROM counted)
SELECT least(CAST(floor((score - low) / nullif(high - low, 0) * {BARS}) AS INTEGER), {BARS - 1}) AS step,
  any_value(low) AS low, any_value(high) AS high, count(*) AS photos
FROM counted, ends WHERE score IS NOT NULL GROUP BY step ORDER BY step
"""
_FAILURES = """
SELECT failure AS kind, count(*) AS photos, min(address) AS example, arg_min(reason, address) AS reason
FROM counted WHERE state = 'failed' GROUP BY failure ORDER BY photos DESC, kind
"""
_FOLDERS = """
SELECT folder, count(*) AS photos, count(*) FILTER (state = 'failed') AS failed, avg(score) AS mean,
  min(score) AS lowest, max(score) AS highest
FROM counted GROUP BY folder ORDER BY mean, folder LIMIT ?
"""
_ENDS = "SELECT address, score FROM counted WHERE score IS NOT NULL ORDER BY score {order}, address LIMIT ?"


@dataclass(frozen=True)
class ScoreBar:
    """One bar of the histogram: scores from `low` up to `high`."""

    low: float
    high: float
    photos: int


@dataclass(frozen=True)
class ResultsReport:
    """What one generation of an archive's results says."""

    generation: int
    generations: tuple[int, ...]
    origins: Sequence[dict[str, Any]]
    """Each metric, model, protocol, precision and program version that its rows name."""
    photos: int
    scored: int
    failed: int
    mean: float | None
    first_at: str | None
    last_at: str | None
    percentiles: dict[str, float]
    """Score by percent of the photos that lie below it."""
    histogram: tuple[ScoreBar, ...]
    failures: Sequence[dict[str, Any]]
    """By kind, the most frequent first, each with one photo and its reason."""
    folders: Sequence[dict[str, Any]]
    """The folders with the lowest mean first."""
    worst: Sequence[dict[str, Any]]
    best: Sequence[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """Return a plain object for JSON."""
        return asdict(self)


def report(
    folder: ResultsFolder, *, generation: int | None = None, number: int = 20, memory_mb: int = 2048
) -> ResultsReport:
    """Return the report of a generation, the newest by default, with `number` photos and folders a list.

    Raises like `ResultsFolder.rows`.
    """
    with folder.rows(generation, memory_mb=memory_mb) as rows:
        rows.ask(_COUNTED)  # the files are read once, whatever their distance
        (totals,) = rows.ask(_TOTALS)
        return ResultsReport(
            generation=folder.newest if generation is None else generation,
            generations=tuple(sorted(folder.generations)),
            origins=rows.ask(_ORIGINS),
            **totals,
            percentiles=_percentiles(rows),
            histogram=_histogram(rows),
            failures=rows.ask(_FAILURES),
            folders=rows.ask(_FOLDERS, number),
            worst=rows.ask(_ENDS.format(order="ASC"), number),
            best=rows.ask(_ENDS.format(order="DESC"), number),
        )


def _percentiles(rows: Rows) -> dict[str, float]:
    shares = [percent / 100 for percent in PERCENTS]
    (answer,) = rows.ask(_PERCENTILES.format(shares=shares))
    return dict(zip(map(str, PERCENTS), answer["scores"] or (), strict=False))


def _histogram(rows: Rows) -> tuple[ScoreBar, ...]:
    """Count the scores in equal steps from the lowest to the highest; equal scores are one bar."""
    found = rows.ask(_HISTOGRAM)
    if not found:
        return ()
    low, high = found[0]["low"], found[0]["high"]
    if low == high:
        return (ScoreBar(low, high, found[0]["photos"]),)
    counted = {row["step"]: row["photos"] for row in found}
    width = (high - low) / BARS
    return tuple(
        ScoreBar(low + step * width, low + (step + 1) * width, counted.get(step, 0)) for step in range(BARS)
    )
