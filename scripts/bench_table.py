"""The result of a benchmark as tables, on the terminal and in docs/performance.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_measure import Spread
from rich.console import Console
from rich.table import Table

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
MARKS = ("<!-- figures: written by scripts/bench --write -->", "<!-- end of the figures -->")
NOT_YET = "*not yet measured*"


@dataclass(frozen=True, slots=True)
class Row:
    """One line: ours beside the reference's, and beside what the machine can do."""

    what: str
    unit: str
    ours: Spread
    reference: Spread | None = None
    ratio: Spread | None = None
    """How many times as fast as the reference."""
    share: float | None = None
    """Of the machine's limit, 0 to 1."""
    gpu: Spread | None = None

    def cells(self) -> tuple[str, ...]:
        """As text."""
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
    console.print(said(about))
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
            said(about) + " Median of the repeats, in parentheses the quartiles.",
            _markdown(HEADINGS, [row.cells() for row in rows]),
            "What the machine can do, measured in the same run:",
            _markdown(("limit", "measured"), [(name, rate.text()) for name, rate in limits.items()]),
        ]
    )
    PAGE.write_text(f"{before}{MARKS[0]}\n{figures}\n{MARKS[1]}{after}", encoding="utf-8")


def said(about: dict[str, Any]) -> str:
    """The day, the machine and the versions in two sentences."""
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
