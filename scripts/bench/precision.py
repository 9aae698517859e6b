"""Measure what bf16 and fp16 do to the scores: the table of docs/iqa.md.

Scores the first photos of a folder, by name, in fp32 and in each other precision of this machine's device.
Prints the largest and mean difference, SRCC, and milliseconds a photo.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from safetensors.torch import save_file
from scipy.stats import spearmanr

from maclip_daemon.iqa import metrics, protocols
from maclip_daemon.iqa.models import catalogue
from maclip_daemon.iqa.models.loading import load
from maclip_daemon.iqa.models.seeded_checkpoint import seeded_prompts, seeded_state
from maclip_daemon.scoring.device import be_exact, choose_device
from maclip_daemon.scoring.engine import Engine


def main(
    folder: Annotated[Path, typer.Argument(help="A folder of photos.")],
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint file, rn50-seeded or builtin.")],
    count: Annotated[int, typer.Argument(metavar="PHOTOS")] = 200,
    metric_name: Annotated[str, typer.Argument(metavar="METRIC")] = "maclip",
    protocol_name: Annotated[str, typer.Argument(metavar="PROTOCOL")] = "spaq448",
) -> None:
    """Measure what bf16 and fp16 do to the scores of one checkpoint."""
    metric, protocol = metrics.parse(metric_name), protocols.parse(protocol_name)
    path = Path(checkpoint)
    name = "builtin" if checkpoint == "builtin" else f"file:{path}"
    if checkpoint == "rn50-seeded":
        path = Path("rn50-seeded.safetensors")
        name = f"file:{path}"
        state = seeded_state(0, width=64, layers=(3, 4, 6, 3))
        save_file(state, path, {"prompts": json.dumps(seeded_prompts())})
    model = catalogue.resolve(name, Path())  # a clear error before the long part
    photos = [np.array(protocol.resize(Image.open(name))) for name in sorted(folder.iterdir())[:count]]
    device = choose_device("auto")
    be_exact(device)
    scores: dict[str, np.ndarray] = {}
    # fp16 on processors is emulated, several times slower than fp32: nobody should choose it there.
    for precision in ("fp32", "bf16") if device.type == "cpu" else ("fp32", "bf16", "fp16"):
        engine = Engine(load(model, metric, Path(), device=device, precision=precision), metric)
        engine.score(photos[:8])
        start = time.perf_counter()
        batches = (photos[at : at + 16] for at in range(0, len(photos), 16))
        answers = [answer for batch in batches for answer in engine.score(batch)]
        milliseconds = (time.perf_counter() - start) / len(photos) * 1000
        failed = [answer for answer in answers if isinstance(answer, Exception)]
        if failed:
            print(f"{precision}: {len(failed)} photos without a score: {failed[0]}")
            continue
        scores[precision] = np.array([answer.score for answer in answers])
        difference = np.abs(scores[precision] - scores["fp32"])
        rank = spearmanr(scores[precision], scores["fp32"]).statistic
        print(
            f"| {checkpoint} | {metric.name} {protocol.name} | {device.type} {precision} "
            f"| {difference.max():.2g} | {difference.mean():.2g} | {rank:.5f} "
            f"| {scores[precision].std():.2g} | {milliseconds:.1f} |",
            flush=True,
        )
