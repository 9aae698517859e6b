"""Figures of a benchmark: medians with quartiles, as tables on the terminal and in docs/performance.md."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
MARKS = ("<!-- figures: written by scripts/bench/run speed --write -->", "<!-- end of the figures -->")
NOT_YET = "*not yet measured*"


@dataclass(frozen=True, slots=True)
class Spread:
    """The values of one quantity, measured several times."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle value, which is quoted."""
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The bounds of the middle half of the repeats."""
        if len(self.values) < 2:
            return self.values[0], self.values[0]
        lower, _, upper = statistics.quantiles(self.values, n=4, method="inclusive")
        return lower, upper

    def as_json(self) -> dict[str, float | int]:
        """Return the figures for `--json`."""
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
        """Return the median and the quartiles with three significant digits."""
        lower, upper = self.quartiles
        return f"{number(self.median)} ({number(lower)}–{number(upper)})"


def ratios(ours: Spread, reference: Spread) -> Spread:
    """Divide repeat by repeat: a disturbance of one repeat slowed both of its halves."""
    return Spread(tuple(mine / its for mine, its in zip(ours.values, reference.values, strict=True)))


def number(value: float) -> str:
    """Format a number with three significant digits and spaced thousands."""
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{decimals}f}".replace(",", "\u202f")


def seconds_of(work: Callable[[], object], repeats: int) -> list[float]:
    """Return the wall-clock seconds of each repeat, after a warm-up."""
    work()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return taken


@dataclass(frozen=True, slots=True)
class Row:
    """One line: our figure beside the reference's and beside the limit of the machine."""

    what: str
    unit: str
    ours: Spread
    reference: Spread | None = None
    ratio: Spread | None = None
    """Speed relative to the reference; larger is faster."""
    share: float | None = None
    """Share of the machine's limit, 0 to 1."""
    gpu: Spread | None = None

    def cells(self) -> tuple[str, ...]:
        """Return the cells as text."""
        return (
            self.what,
            self.unit,
            self.ours.text(),
            self.reference.text() if self.reference else "",
            f"× {self.ratio.text()}" if self.ratio else "",
            f"{self.share:.0%}" if self.share is not None else "",
            self.gpu.text() if self.gpu else NOT_YET,
        )


HEADINGS = (
    "what",
    "unit",
    "ours",
    "the authors' way",
    "times as fast",
    "of the limit",
    "ours on a GPU",
)


def show(console: Console, rows: Sequence[Row], limits: dict[str, Spread], about: dict[str, Any]) -> None:
    """Print both tables."""
    console.print(machine_text(about))
    for table in (_limits_table(limits), _rows_table(rows)):
        console.print(table)


def write(rows: Sequence[Row], limits: dict[str, Spread], about: dict[str, Any]) -> None:
    """Replace the figures of docs/performance.md; its prose stays."""
    page = PAGE.read_text(encoding="utf-8")
    before, mark, rest = page.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not mark or not end:
        raise SystemExit(f"bench: {PAGE} has lost its marks {MARKS[0]} and {MARKS[1]}. Put them back.")
    figures = "\n\n".join(
        [
            machine_text(about) + " Median of the repeats, in parentheses the quartiles.",
            _markdown(HEADINGS, [row.cells() for row in rows]),
            "What the machine can do, measured in the same run:",
            _markdown(("limit", "measured"), [(name, rate.text()) for name, rate in limits.items()]),
        ]
    )
    PAGE.write_text(f"{before}{MARKS[0]}\n{figures}\n{MARKS[1]}{after}", encoding="utf-8")


def machine_text(about: dict[str, Any]) -> str:
    """Return the date, the machine and the versions as a sentence."""
    machine, versions = about["machine"], about["versions"]
    isa = ", ".join(machine["isa"]) or "no vector extensions known here"
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"Measured on {about['date']}: {machine['cores']} cores ({machine['architecture']}; {isa}), "
        f"{machine['memory_gib']} GiB of memory, {machine['gpu'] or 'no GPU'}; {named}."
    )


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _rows_table(rows: Sequence[Row]) -> Table:
    table = Table(*HEADINGS)
    for row in rows:
        table.add_row(*row.cells())
    return table


def _limits_table(limits: dict[str, Spread]) -> Table:
    table = Table("limit", "measured")
    for name, rate in limits.items():
        table.add_row(name, rate.text())
    return table
