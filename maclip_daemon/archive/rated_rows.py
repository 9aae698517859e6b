"""Stars and percentiles of an archive's photos, by the distribution of the archive itself."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

from maclip_daemon.archive.results_folder import Rows
from maclip_daemon.archive.rows import address_of

_EDGES = "SELECT quantile_cont(score, {shares}) AS edges FROM photos WHERE state = 'scored'"
# As a library has it: how much lies below a score, half of the equal ones counted.
_RATED = """
SELECT address, address_bytes, size, score, metric, model, protocol, scored_at, reasons, pixel_hash,
  100.0 * (rank() OVER (ORDER BY score) - 1 + 0.5 * count(*) OVER (PARTITION BY score)) / count(*) OVER ()
    AS percentile
FROM photos WHERE state = 'scored' AND isfinite(score) ORDER BY address
"""


@dataclass(frozen=True)
class RatedRow:
    """One photo of an archive with its stars."""

    address: str
    """As its listing had it; bytes that are not UTF-8 as surrogates."""
    size: int | None
    score: float
    percentile: float
    metric: str
    model: str
    protocol: str
    scored_at: str
    reasons: str | None
    pixel_hash: str | None
    stars: int


_COLUMNS = tuple(field.name for field in fields(RatedRow) if field.name not in ("address", "stars"))


def star_edges(rows: Rows, shares: Sequence[float]) -> tuple[float, ...]:
    """Return the scores at which 2, 3, 4 and 5 stars begin; () where no photo has a score.

    `shares`: per cent of the photos with 1 to 5 stars, as the setting `rating.shares`.
    """
    below = [share / 100 for share in itertools.accumulate(shares)][:4]
    (answer,) = rows.ask(_EDGES.format(shares=below))
    return tuple(answer["edges"] or ())


def rated_rows(rows: Rows, edges: Sequence[float]) -> Iterator[RatedRow]:
    """Yield the scored photos with their stars, in the order of their addresses."""
    for row in rows.each(_RATED):
        stars = 1 + sum(row["score"] >= edge for edge in edges)
        yield RatedRow(address_of(row), stars=stars, **{name: row[name] for name in _COLUMNS})
