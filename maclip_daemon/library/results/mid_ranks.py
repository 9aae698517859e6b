"""Percentiles of sorted scores, half of the equal ones counted (mid-ranks), and where stars begin on them."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise

Edges = tuple[float, float, float, float]
Shares = tuple[float, float, float, float, float]

QUANTILE_POINTS = 1000  # tenths of a per cent: finer than any star or shown percentile


def edges_of(scores: Sequence[float], shares: Shares) -> Edges:
    """Return the lowest score of each star: the first whose percentile reaches the shares below the star.

    A star that no photo reaches (too few different scores) begins just above the highest score.
    """
    edges = [_first_at(scores, below) for below in accumulate(shares[:4])]
    return edges[0], edges[1], edges[2], edges[3]


def _first_at(scores: Sequence[float], percentile: float) -> float:
    """Return the lowest of the sorted scores whose mid-rank is at least this percentile."""
    candidate = scores[min(int(len(scores) * percentile / 100), len(scores) - 1)]
    if _mid_rank(scores, candidate) >= percentile:
        return candidate
    following = bisect_right(scores, candidate)
    return scores[following] if following < len(scores) else math.nextafter(candidate, math.inf)


def _mid_rank(scores: Sequence[float], score: float) -> float:
    """Return the per cent of the sorted scores below this one, half of the equal ones counted."""
    return 50.0 * (bisect_left(scores, score) + bisect_right(scores, score)) / len(scores)


def distribution_of(scores: Sequence[float], edges: Edges) -> list[tuple[float, float, float]]:
    """Return (score, percentile, slope) at steps of a tenth of a per cent, and on both sides of every edge.

    So a percentile and its stars never contradict each other. Above the highest score it is 100.
    """
    last = len(scores) - 1
    indices = {round(step * last / QUANTILE_POINTS) for step in range(QUANTILE_POINTS + 1)}
    for edge in edges:
        begin = bisect_left(scores, edge)
        indices |= {max(begin - 1, 0), min(begin, last)}
    points = [(score, _mid_rank(scores, score)) for score in sorted({scores[index] for index in indices})]
    points.append((math.nextafter(scores[-1], math.inf), 100.0))
    slopes = [(upper[1] - lower[1]) / (upper[0] - lower[0]) for lower, upper in pairwise(points[:-1])]
    return [
        (score, percentile, slope if math.isfinite(slope) else 0.0)
        for (score, percentile), slope in zip(points, [*slopes, 0.0, 0.0], strict=True)
    ]
