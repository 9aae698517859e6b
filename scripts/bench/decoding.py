"""Measure what decoding and reducing in two steps does to the scores: a table of docs/performance.md.

Every photo is brought to each protocol's size in several ways. Prints each way's processor time a photo, and
how far it moves the fp32 scores from those of the authors' method (full decoding, one bicubic step).
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from PIL import Image
from safetensors.torch import save_file
from scipy.stats import spearmanr

from maclip_daemon.iqa import metrics
from maclip_daemon.iqa.models import catalogue
from maclip_daemon.iqa.models.loading import load
from maclip_daemon.iqa.models.seeded_checkpoint import seeded_prompts, seeded_state
from maclip_daemon.iqa.protocols import Protocol, parse
from maclip_daemon.scoring.engine import Engine

REFERENCE = "full decoding, one step"
RN50 = Path("rn50-seeded.safetensors")


def ways(protocol: Protocol) -> dict[str, Callable[[bytes], Image.Image]]:
    """Return every way from a file to an RGB image of the protocol's size."""

    def reduced(keeps: float | None, gap: float | None) -> Callable[[bytes], Image.Image]:
        def bring(data: bytes) -> Image.Image:
            image = Image.open(io.BytesIO(data))
            target = protocol.target_size(*image.size)
            if keeps is not None:
                image.draft(None, (round(keeps * target[0]), round(keeps * target[1])))
            return image.convert("RGB").resize(target, Image.Resampling.BICUBIC, reducing_gap=gap)

        return bring

    return {
        REFERENCE: reduced(None, None),
        "JPEG decoded at ≥ 2 × the target, bicubic": reduced(2, None),
        "JPEG decoded at ≥ 2 ×, bicubic with a gap of 2": reduced(2, 2.0),
        "JPEG decoded at ≥ 1 ×, bicubic": reduced(1, None),
        "full decoding, bicubic with a gap of 2": reduced(None, 2.0),
        "full decoding, bicubic with a gap of 3": reduced(None, 3.0),
    }


def bring_all(files: list[Path], protocol: Protocol) -> Iterator[tuple[str, float, list[np.ndarray]]]:
    """Yield for every way its name, its milliseconds of processor time a photo, and its pictures."""
    for name, bring in ways(protocol).items():
        pictures, spent = [], []
        for file in files:
            data = file.read_bytes()
            start = time.process_time()
            pictures.append(np.array(bring(data)))
            spent.append(time.process_time() - start)
        yield name, float(np.median(spent)) * 1000, pictures


def scores_of(engine: Engine, pictures: list[np.ndarray]) -> np.ndarray:
    """Return one fp32 score for each picture."""
    batches = (pictures[at : at + 16] for at in range(0, len(pictures), 16))
    answers = [answer for batch in batches for answer in engine.score(batch)]
    return np.array([answer.score for answer in answers])


def engine_for(model: str) -> Engine:
    """Load the named model in fp32 on the processor."""
    if model == "rn50-seeded":
        state = seeded_state(0, width=64, layers=(3, 4, 6, 3))
        save_file(state, RN50, {"prompts": json.dumps(seeded_prompts())})
        model = f"file:{RN50}"
    elif model != "builtin":
        model = f"file:{model}"
    resolved, metric = catalogue.resolve(model, Path()), metrics.parse("maclip")
    loaded = load(resolved, metric, Path(), device=torch.device("cpu"), precision="fp32")
    return Engine(loaded, metric)


def main(
    folder: Annotated[Path, typer.Argument(help="A folder of large JPEGs.")],
    photos: Annotated[int, typer.Argument(help="How many of them, by name.")],
    models: Annotated[
        list[str], typer.Argument(help="MODEL@PROTOCOL: builtin, rn50-seeded or a checkpoint file.")
    ],
) -> None:
    """Measure what decoding and reducing in two steps does to the scores."""
    files = sorted(folder.iterdir())[:photos]
    judges: dict[str, list[str]] = {}
    for pair in models:
        model, _, protocol = pair.rpartition("@")
        judges.setdefault(protocol, []).append(model)
    for protocol, names in judges.items():
        engines = {Path(name).name: engine_for(name) for name in names}
        reference: dict[str, np.ndarray] = {}
        pixels: list[np.ndarray] = []
        for way, milliseconds, pictures in bring_all(files, parse(protocol)):
            pixels = pixels or pictures
            moved = [np.abs(a.astype(np.int16) - b).mean() for a, b in zip(pixels, pictures, strict=True)]
            for name, engine in engines.items():
                scores = scores_of(engine, pictures)
                before = reference.setdefault(name, scores)
                difference = np.abs(scores - before)
                print(
                    f"| {name} {protocol} | {way} | {milliseconds:.0f} | {np.mean(moved):.2f} "
                    f"| {difference.max():.2g} | {difference.mean():.2g} "
                    f"| {spearmanr(scores, before).statistic:.5f} | {before.std():.2g} |",
                    flush=True,
                )
