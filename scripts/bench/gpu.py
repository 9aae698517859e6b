"""Measure a graphics processor in one command of at most eight minutes: `scripts/bench/run gpu`.

Its scores beside the processor's, photos a second for decoding, encoding and the whole way, its share of the
card's own rate in bf16, the memory it takes, and what happens when that runs out. Each line is printed once
it is known. What no time is left for is left out. `--device cpu --quick` sees that the command works.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from safetensors.torch import save_file

from maclip_daemon.iqa import metrics, protocols
from maclip_daemon.iqa.models import catalogue, loading
from maclip_daemon.iqa.models.seeded_checkpoint import seeded_prompts, seeded_state
from maclip_daemon.iqa.photo_pixels import PhotoPixels
from maclip_daemon.photos.decoder_pool import DecoderPool
from maclip_daemon.scoring.batch_size import BatchSize
from maclip_daemon.scoring.device import be_exact, choose_device, choose_precision, limit_memory
from maclip_daemon.scoring.engine import Engine
from maclip_daemon.settings import DecodingSettings

from . import end_to_end
from . import photos as test_photos
from .encoder import gflop_a_view

PROTOCOL = "detail-8"
LIMITS = {"fp32": 1e-3, "bf16": 0.02, "fp16": 0.02}  # largest differences to the processor, docs/iqa.md
LIMIT_MIB = 2048  # for the memory that is bounded on purpose
GPU_BATCH, CPU_BATCH = 320, 20  # views


class GpuBench:
    """One run: what was found, and the time that is left."""

    def __init__(self, folder: Path, device: str, budget_s: float, *, quick: bool) -> None:
        self.found: dict[str, Any] = {}
        self.device = choose_device(device)
        self._quick = quick
        self._folder = folder
        self._ends_at = time.monotonic() + budget_s
        self._batch = GPU_BATCH if self.device.type == "cuda" else CPU_BATCH
        size = (1600, 1200) if quick else test_photos.SIZES[24]
        self._files = test_photos.make(folder / "photos", size, 3 if quick else 24)
        self._warm_up = test_photos.make(folder / "warm-up", size, 1 if quick else 4, first_seed=1)
        width, layers = (8, (1, 1, 1, 1)) if quick else (64, (3, 4, 6, 3))
        checkpoint = folder / "rn50.safetensors"
        save_file(
            seeded_state(0, width=width, layers=layers),
            checkpoint,
            {"prompts": json.dumps(seeded_prompts())},
        )
        self.models = {"RN50": f"file:{checkpoint}", "built-in": "builtin"}

    def step(self, name: str, needs_s: float, work: Callable[[], object]) -> None:
        """Do one step and print what it found; leave it out when less than `needs_s` is left."""
        left = self._ends_at - time.monotonic()
        result = work() if left >= needs_s or self._quick else "left out: no time"
        self.found[name] = result
        print(f"{name}: {json.dumps(result)}", flush=True)

    def engine(self, model: str, device: torch.device, precision: str, batch: int) -> Engine:
        """Return a loaded model at the measured protocol."""
        resolved = catalogue.resolve(model, self._folder)
        metric = metrics.maclip()
        chosen = choose_precision(precision, device)  # type: ignore[arg-type]
        loaded = loading.load(resolved, metric, self._folder, device=device, precision=chosen)
        return Engine(loaded, metric, protocol=protocols.parse(PROTOCOL), batch=BatchSize(batch))

    def pixels(self, count: int) -> list[PhotoPixels]:
        """Return random photos of the sizes that a 3:2 photo has at this protocol."""
        draw = np.random.default_rng(0)
        return [
            PhotoPixels(
                draw.integers(0, 256, (363, 544, 3), dtype=np.uint8),
                draw.integers(0, 256, (8, 224, 224, 3), dtype=np.uint8),
            )
            for _ in range(count)
        ]

    def decoding(self) -> dict[str, Any]:
        """Measure files → pixels in as many processes as cores, and keep the pixels."""
        workers = os.cpu_count() or 1
        with DecoderPool(DecodingSettings(), workers) as pool:
            [pool.submit(path, PROTOCOL).result().discard() for path in self._warm_up]
            start = time.perf_counter()
            futures = [pool.submit(path, PROTOCOL) for path in self._files]
            self._decoded = [future.result().take_photo() for future in futures]
            seconds = time.perf_counter() - start
        return {"processes": workers, "photos_per_s": round(len(self._files) / seconds, 2)}

    def agreement(self, model: str) -> dict[str, Any]:
        """Compare scores with those of the processor in fp32, in each precision."""
        expected = self._scores(self.engine(model, torch.device("cpu"), "fp32", CPU_BATCH))
        found: dict[str, Any] = {}
        for precision in ("fp32", "auto"):
            engine = self.engine(model, self.device, precision, self._batch)
            used = choose_precision(precision, self.device)  # type: ignore[arg-type]
            largest = float(np.abs(self._scores(engine) - expected).max())
            found[used] = {"largest_difference": largest, "within": largest <= LIMITS[used]}
        return found

    def _scores(self, engine: Engine) -> np.ndarray:
        chosen = self._decoded[: 3 if self._quick else 12]
        answers = engine.score(chosen)
        return np.array([(answer.overall, answer.detail) for answer in answers], float)  # type: ignore[union-attr]

    def encoding(self, model: str) -> dict[str, Any]:
        """Measure pixels → scores on the device, beside its own rate of products."""
        engine = self.engine(model, self.device, "auto", self._batch)
        photos = self.pixels(4 if self._quick else 256)
        engine.score(photos[:32])
        self._wait()
        start = time.perf_counter()
        engine.score(photos)
        self._wait()
        seconds = time.perf_counter() - start
        views = 15 * len(photos)
        rate = gflop_a_view(model) * views / seconds
        return {
            "precision": choose_precision("auto", self.device),
            "photos_per_s": round(len(photos) / seconds, 2),
            "views_per_s": round(views / seconds, 1),
            "share_of_matrix_rate": round(rate / self.found["matrix rate"]["gflop_per_s"], 4),
        }

    def matrix_rate(self) -> dict[str, Any]:
        """Measure the device's own rate of products in its best precision."""
        kind = torch.float32 if choose_precision("auto", self.device) == "fp32" else torch.bfloat16
        side = 512 if self._quick or self.device.type != "cuda" else 8192
        left, right = (torch.randn(side, side, device=self.device, dtype=kind) for _ in range(2))
        times = []
        for _ in range(10):
            self._wait()
            start = time.perf_counter()
            left @ right
            self._wait()
            times.append(time.perf_counter() - start)
        return {"precision": str(kind), "gflop_per_s": round(2 * side**3 / min(times) / 1e9)}

    def memory(self, model: str) -> dict[str, Any]:
        """Score under a limit of memory with batches that do not fit, and compare with small ones."""
        if self.device.type != "cuda":
            return {"skipped": "only CUDA devices have such a limit"}
        photos = self.pixels(64)
        expected = [one.score for one in self.engine(model, self.device, "auto", 20).score(photos)]  # type: ignore[union-attr]
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self.device)
        limit_memory(self.device, LIMIT_MIB)
        engine = self.engine(model, self.device, "auto", 15 * len(photos))
        found = [one.score for one in engine.score(photos)]  # type: ignore[union-attr]
        peak = torch.cuda.max_memory_reserved(self.device) >> 20
        limit_memory(self.device, 1 << 20)
        return {
            "limit_mib": LIMIT_MIB,
            "peak_mib": peak,
            "within": peak <= LIMIT_MIB,
            "batch_views_left": engine.extractor.batch.views,
            "largest_difference": float(np.abs(np.subtract(found, expected)).max()),
        }

    def whole_way(self, model: str) -> dict[str, Any]:
        """Measure JPEG files → stored scores of a real daemon on the device."""
        settings = {"MACLIP_SCORING__DEVICE": str(self.device), "MACLIP_SCORING__PROTOCOL": PROTOCOL}
        scored = end_to_end.run(self._files, self._warm_up, model, self._folder / "batches.json", settings)
        return {"photos_per_s": round(len(self._files) / scored.seconds, 2)}

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def main(
    device: Annotated[str, typer.Option(help="cuda, cuda:N, or cpu to try the command.")] = "cuda",
    budget_s: Annotated[float, typer.Option(help="Seconds after which nothing new begins.")] = 440,
    quick: Annotated[bool, typer.Option("--quick", help="See that it works.")] = False,
) -> None:
    """Measure a graphics processor: agreement, speed, memory. At most eight minutes."""
    with tempfile.TemporaryDirectory(prefix="maclip-bench-") as name:
        bench = GpuBench(Path(name), device, budget_s, quick=quick)
        be_exact(bench.device)
        bench.step("matrix rate", 5, bench.matrix_rate)
        bench.step("decoding 24 MP JPEG", 30, bench.decoding)
        for title, model in bench.models.items():
            bench.step(f"scores beside the processor's, {title}", 40, lambda m=model: bench.agreement(m))
            bench.step(f"encoding, {title}", 30, lambda m=model: bench.encoding(m))
            bench.step(f"memory bounded and run out, {title}", 20, lambda m=model: bench.memory(m))
        for title, model in bench.models.items():
            bench.step(
                f"whole way, 24 MP JPEG to stored score, {title}", 60, lambda m=model: bench.whole_way(m)
            )
