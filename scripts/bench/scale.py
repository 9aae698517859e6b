"""Measure how the cost of a library grows, at n, 10 n and 100 n photos.

Measured are reconciling an unchanged folder with the library, the worst 50 of all and below folders, a
new calibration with its percentiles, and storing scores of decoded photos. Every measurement runs in a
process of its own, so that its memory can be read.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from .growth import (
    BATCHES,
    PROCESSOR,
    Figures,
    alone,
    calibrated,
    first_photos,
    ingested,
    make_library,
    reconciliation,
)

PLOT = Path(__file__).resolve().parents[2] / "docs" / "images" / "scale.svg"


@dataclass(frozen=True)
class Aim:
    """One line of the table: what is measured, and its limit at 200 000 files or a million photos."""

    name: str
    unit: str
    limit: float
    is_floor: bool = False


AIMS = (
    Aim("reconcile, time", "s", 10.0),
    Aim("reconcile, memory", "MB", 100.0),
    Aim("worst -n 50", "ms", 30.0),
    Aim("worst -n 50 --under a folder", "ms", 30.0),
    Aim("worst -n 50 --under a year", "ms", 30.0),
    Aim("worst -n 50 --under the root", "ms", 30.0),
    Aim("calibration and percentiles", "s", 3.0),
    *(Aim(f"store scores, {batch} together", "rows/s", 5000.0, True) for batch in BATCHES),
)


def main(
    photos: Annotated[int, typer.Option(help="The largest library.")] = 1_000_000,
    files: Annotated[int, typer.Option(help="The largest folder.")] = 200_000,
    repeats: Annotated[int, typer.Option(help="Of each measurement; the quickest counts.")] = 3,
    plot: Annotated[Path, typer.Option(help="Where the plot goes.")] = PLOT,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure how the cost of a library grows, and draw it."""
    measured: dict[str, dict[int, float]] = {}
    with tempfile.TemporaryDirectory(prefix="maclip-scale-") as place:
        for size in (files // 100, files // 10, files):
            _collect(measured, size, alone(reconciliation, Path(place) / f"files-{size}", size, repeats))
        for size in (photos // 100, photos // 10, photos):
            library = Path(place) / f"photos-{size}" / "library.db"
            make_library(library, size)
            for measure in (first_photos, calibrated, ingested):
                _collect(measured, size, alone(measure, library, size, repeats))
            library.unlink()
    draw(measured, plot)
    if as_json:
        sys.stdout.write(json.dumps(measured) + "\n")
    else:
        show(Console(), measured)


def _collect(measured: dict[str, dict[int, float]], size: int, figures: Figures) -> None:
    for name, value in figures.items():
        measured.setdefault(name, {})[size] = value


def show(console: Console, measured: dict[str, dict[int, float]]) -> None:
    """Print what was measured beside its aim."""
    table = Table("what", "n", "10 n", "100 n", "100 n, processor", "unit", "aim at 100 n", "kept")
    for aim in AIMS:
        values = [value for _, value in sorted(measured[aim.name].items())]
        kept = values[-1] >= aim.limit if aim.is_floor else values[-1] <= aim.limit
        limit = f"{'≥' if aim.is_floor else '≤'} {aim.limit:g}"
        processor = [value for _, value in sorted(measured.get(aim.name + PROCESSOR, {}).items())][-1:]
        cells = [f"{value:,.3g}" if value < 1000 else f"{value:,.0f}" for value in values + processor]
        cells += [""] * (4 - len(cells))
        table.add_row(aim.name, *cells, aim.unit, limit, "yes" if kept else "no")
    console.print(table)


def draw(measured: dict[str, dict[int, float]], path: Path) -> None:
    """Draw each cost over the size of the library, both logarithmic, with its aim as a dashed line."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    mpl.rcParams["svg.hashsalt"] = "maclip"  # the same figures give the same file
    groups = (
        ("Reconciling an unchanged folder", ("reconcile, time",), "s"),
        ("worst -n 50", tuple(aim.name for aim in AIMS if aim.name.startswith("worst")), "ms"),
        ("A new calibration", ("calibration and percentiles",), "s"),
        ("Storing scores", tuple(aim.name for aim in AIMS if aim.name.startswith("store")), "rows/s"),
    )
    figure, axes = pyplot.subplots(2, 2, figsize=(9, 6.5), layout="constrained")
    for (title, names, unit), axis in zip(groups, axes.flat, strict=True):
        for name in names:
            sizes, values = zip(*sorted(measured[name].items()), strict=True)
            axis.plot(sizes, values, marker="o", label=name)
        aim = next(aim for aim in AIMS if aim.name == names[0])
        axis.axhline(aim.limit, linestyle="--", color="grey", linewidth=1)
        axis.set(title=title, ylabel=unit, xscale="log", yscale="log", xlabel="photos")
        if len(names) > 1:
            axis.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
