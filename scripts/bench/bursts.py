"""Measure whether a model finds the best frame of a burst: the table of docs/builtin-model.md.

Makes bursts of large photos: each frame is framed anew, faults are made at full size in linear light, and
every frame is a JPEG that the program decodes itself. Sizes of faults are pixels of a 6000-pixel frame.
In brackets: the 95 % interval over 1000 resamples of the scenes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from maclip_daemon.scorer import Scorer
from maclip_daemon.training.bursts.large_photos import find_large_photos

from .burst_scenes import MILD, SHARP, SIGMAS, STOPS, STRENGTHS, write_scene

Scores = Mapping[str, NDArray[np.float64]]
"""Label of a frame → its score in each scene."""
_RESAMPLES = 1000
_AHEAD = 0.75  # share of comparisons at which a difference counts as seen


def main(
    folder: Annotated[Path, typer.Argument(help="A folder of large photos.")],
    model: Annotated[str, typer.Option(help="As of `maclip score --model`.")] = "builtin",
    protocol: Annotated[str, typer.Option(help="As of `maclip score --protocol`.")] = "auto",
    cue: Annotated[str, typer.Option(help="score, overall, detail, q_sim or q_mag.")] = "score",
    scenes: Annotated[int, typer.Option(help="The first so many scenes by name; 0: all.")] = 0,
    long_edge: Annotated[int, typer.Option(help="Longer photos are reduced to it.")] = 6000,
    held_out: Annotated[bool, typer.Option(help="Only scenes that the built-in model did not see.")] = True,
    frames: Annotated[
        Path | None, typer.Option(help="Keep the frames here, and use those of an earlier run.")
    ] = None,
    threads: Annotated[int, typer.Option()] = 2,
) -> None:
    """Measure whether a model finds the best frame of a burst, with 95 % intervals."""
    torch.set_num_threads(threads)
    photos = [photo for photo in find_large_photos(folder) if photo.is_held_out or not held_out]
    first = {photo.scene: photo for photo in reversed(photos)}
    chosen = sorted(first.values(), key=lambda photo: photo.path)[: scenes or None]
    if not chosen:
        raise typer.BadParameter(f"{folder} has no large photo to measure with. See --no-held-out.")
    collected: dict[str, list[float]] = {}
    with Scorer(model=model, protocol=protocol) as scorer:
        for number, photo in enumerate(chosen):
            with tempfile.TemporaryDirectory() as scratch:
                place = Path(scratch) if frames is None else frames / photo.path.stem
                written = write_scene(photo, place, long_edge, number)
                for label, path in written.items():
                    found = scorer.score(path)
                    collected.setdefault(label, []).append(float(getattr(found, cue)))
        print(f"{scorer.model}, {scorer.protocol.name}, {cue}: {len(chosen)} scenes")
    scores = {label: np.array(values) for label, values in collected.items()}
    for line in table(scores):
        print(line)


def table(scores: Scores) -> list[str]:
    """Return the lines of the Markdown table."""
    count = len(scores["sharp 0"])
    draws = np.random.default_rng(0).integers(0, count, (_RESAMPLES, count))

    def row(name: str, measure: Callable[[Scores], float], digits: int = 2) -> str:
        values = [measure({label: found[draw] for label, found in scores.items()}) for draw in draws]
        low, high = np.quantile(values, (0.025, 0.975))
        return f"| {name} | {measure(scores):.{digits}f} [{low:.{digits}f}, {high:.{digits}f}] |"

    lines = ["| measured | value |", "|---|---|"]
    lines += [row(f"best of five, {name}", _best_of_five(name)) for name in STRENGTHS]
    lines.append(row("σ at which the sharp frame is ahead in 75 %", _sigma_ahead))
    lines += [row(f"sharp ahead of blur σ {sigma:g}", _sharp_ahead(f"blur {sigma:g}")) for sigma in SIGMAS]
    for name in STRENGTHS:
        lines += [
            row(f"sharp ahead of {name} {fault.kind}", _sharp_ahead(f"{name} {fault.kind}")) for fault in MILD
        ]
    lines += [row(f"{stops:+g} EV ahead of the right exposure", _ev_ahead(stops)) for stops in STOPS]
    lines.append(row("grey copy, mean change", lambda found: _change(found, "grey"), 3))
    lines.append(row("spread under re-framing", _spread, 4))
    lines.append(row("spread under mirroring", lambda found: _distance(found, "mirrored"), 4))
    return lines


def _sharp(scores: Scores) -> list[NDArray[np.float64]]:
    return [scores[f"sharp {number}"] for number in range(SHARP)]


def _sharp_ahead(label: str) -> Callable[[Scores], float]:
    def measure(scores: Scores) -> float:
        return float(np.mean([_won(sharp, [scores[label]]) for sharp in _sharp(scores)]))

    return measure


def _ev_ahead(stops: float) -> Callable[[Scores], float]:
    ahead = _sharp_ahead(f"exposure {stops:+g}")
    return lambda scores: 1 - ahead(scores)


def _best_of_five(strength: str) -> Callable[[Scores], float]:
    def measure(scores: Scores) -> float:
        others = [scores[f"{strength} {fault.kind}"] for fault in MILD]
        return float(np.mean([_won(sharp, others) for sharp in _sharp(scores)]))

    return measure


def _won(first: NDArray[np.float64], others: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return 1 where the first is above all others, 0.5 where it is level with the best of them."""
    best = np.max(others, axis=0)
    return np.where(first > best, 1.0, np.where(first == best, 0.5, 0.0))


def _sigma_ahead(scores: Scores) -> float:
    """Return the σ, in pixels of a 6000-pixel frame, from which on the sharp frame is ahead often enough."""
    shares = [0.5, *(_sharp_ahead(f"blur {sigma:g}")(scores) for sigma in SIGMAS)]
    sigmas = [0.0, *SIGMAS]
    rising = np.maximum.accumulate(shares)
    if rising[-1] < _AHEAD:
        return float(SIGMAS[-1])
    place = int(np.argmax(rising >= _AHEAD))
    return float(np.interp(_AHEAD, rising[place - 1 : place + 1], sigmas[place - 1 : place + 1]))


def _change(scores: Scores, label: str) -> float:
    return float((scores[label] - scores["sharp 0"]).mean())


def _distance(scores: Scores, label: str) -> float:
    """Return the standard deviation of a change that should be none."""
    return float(np.sqrt(np.mean((scores[label] - scores["sharp 0"]) ** 2) / 2))


def _spread(scores: Scores) -> float:
    """Return the standard deviation of the sharp frames within a scene."""
    return float(np.sqrt(np.stack(_sharp(scores)).var(axis=0, ddof=1).mean()))
