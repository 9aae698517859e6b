"""A quantity that was measured several times, and how it is said."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """What several repeats gave."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one: what is quoted."""
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Between them lies the middle half of the repeats."""
        if len(self.values) < 2:
            return self.values[0], self.values[0]
        lower, _, upper = statistics.quantiles(self.values, n=4, method="inclusive")
        return lower, upper

    def as_json(self) -> dict[str, float | int]:
        """For `--json`."""
        lower, upper = self.quartiles
        return {
            "median": round(self.median, 4),
            "lower_quartile": round(lower, 4),
            "upper_quartile": round(upper, 4),
            "smallest": round(min(self.values), 4),
            "largest": round(max(self.values), 4),
            "repeats": len(self.values),
        }

    def text(self) -> str:
        """The median and the quartiles, with three digits that count."""
        lower, upper = self.quartiles
        return f"{number(self.median)} ({number(lower)}–{number(upper)})"


def ratios(ours: Spread, reference: Spread) -> Spread:
    """Ours by the reference's, repeat by repeat: what disturbed one repeat disturbed both of its halves."""
    return Spread(tuple(mine / its for mine, its in zip(ours.values, reference.values, strict=True)))


def number(value: float) -> str:
    """Three digits that count, thousands apart."""
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{decimals}f}".replace(",", "\u202f")


def seconds_of(work: Callable[[], object], repeats: int) -> list[float]:
    """Wall-clock seconds of each repeat, after one that does not count."""
    work()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return taken
