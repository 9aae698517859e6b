"""Measure the measured qualities: do they follow their own fault, and only that? A table of docs/scores.md.

Every photo is spoiled step by step at full size, saved as JPEG, and decoded at half size as the daemon does.
`in order`: pairs of steps whose values are ordered right. `others`: how far the other qualities move by the
strongest step, each in units of what its own strongest step moves it. Intervals (95 %) are over photos.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import spearmanr

from maclip_daemon.photos.measures.measurement import measure
from maclip_daemon.photos.measures.photo_measures import PhotoMeasures
from maclip_daemon.photos.measures.reasons import reasons_of

from .fault_ladders import LADDERS, Pixels, as_decoded

QUALITIES = tuple(LADDERS)
SUFFIXES = (".jpg", ".jpeg", ".png")
REPEATS = 2000  # of the bootstrap
Values = NDArray[np.float64]


def photos_in(folder: Path, count: int) -> Iterator[Path]:
    """Yield photos below a folder, spread evenly over all."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    yield from found[:: max(1, len(found) // count)][:count]


def pixels_of(path: Path, longest: int) -> Pixels:
    """Return the middle of a photo, at its own size."""
    image = Image.open(path).convert("RGB")
    width, height = (min(side, longest) // 16 * 16 for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return np.asarray(image.crop((left, top, left + width, top + height)))


def values_of(measures: PhotoMeasures | None) -> Values:
    """Return the values of all qualities."""
    assert measures is not None
    return np.array([getattr(measures, name).value for name in QUALITIES])


def ladders_of(pixels: Pixels) -> list[Values]:
    """Return the values of every step of each quality's ladder, the photo itself first."""
    start = values_of(measure(as_decoded(pixels), 0.5))
    return [
        np.stack([start, *(values_of(measure(as_decoded(spoil(pixels, step)), 0.5)) for step in steps)])
        for spoil, steps, _ in LADDERS.values()
    ]


def in_order(own: Values, sign: int) -> float:
    """Return the share of pairs of steps in the right order; equal values are none."""
    pairs = list(itertools.combinations(own * sign, 2))
    return sum(one < other for one, other in pairs) / len(pairs)


def interval(values: Sequence[float]) -> str:
    """Return mean and 95 % interval of a value that each photo has."""
    array = np.asarray(values)
    means = np.random.default_rng(0).choice(array, (REPEATS, len(array))).mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return f"{array.mean():.3f} [{low:.3f}, {high:.3f}]"


def main(
    folder: Annotated[Path, typer.Argument(help="Large photos to spoil.")],
    count: Annotated[int, typer.Option(help="How many of them.")] = 20,
    longest: Annotated[int, typer.Option(help="Pixels; of larger photos the middle is used.")] = 3000,
    ordinary: Annotated[Path | None, typer.Option(help="Photos for the correlations.")] = None,
    ordinary_count: Annotated[int, typer.Option(help="How many of them.")] = 600,
) -> None:
    """Measure whether the measured qualities follow their own fault, and only that."""
    measured = []
    for path in photos_in(folder, count):
        measured.append(ladders_of(pixels_of(path, longest)))
        print(".", end="", flush=True)
    ranges = [
        np.mean([abs(ladders[place][-1, place] - ladders[place][0, place]) for ladders in measured])
        for place in range(len(QUALITIES))
    ]
    print(
        f"\n\n{len(measured)} photos\n\n| quality | own ladder in order | others beside it |\n|---|---|---|"
    )
    for place, (name, (_, _, sign)) in enumerate(LADDERS.items()):
        own = [in_order(ladders[place][:, place], sign) for ladders in measured]
        others = [
            np.mean(
                [
                    abs(ladders[place][-1, other] - ladders[place][0, other]) / ranges[other]
                    for other in range(len(QUALITIES))
                    if other != place
                ]
            )
            for ladders in measured
        ]
        print(f"| {name} | {interval(own)} | {interval([float(each) for each in others])} |")
    if ordinary is not None:
        _correlations(list(photos_in(ordinary, ordinary_count)))


def _correlations(paths: Sequence[Path]) -> None:
    rows, spent, named = [], [], 0
    for path in paths:
        image = Image.open(path).convert("RGB")
        begun = time.process_time()
        measures = measure(image, 1.0)
        spent.append(time.process_time() - begun)
        if measures is not None:
            rows.append(values_of(measures))
            named += bool(reasons_of(measures, *image.size))
    matrix = np.abs(spearmanr(np.stack(rows)).statistic) - np.eye(len(QUALITIES))
    one, other = np.unravel_index(int(np.nanargmax(matrix)), matrix.shape)
    print(
        f"\n{len(rows)} photos: largest rank correlation {matrix[one, other]:.2f} ({QUALITIES[one]},"
        f" {QUALITIES[other]}); {named} have a reason; {1000 * np.median(spent):.0f} ms each"
    )
