"""Measure the speed beside the authors' method and beside the limits of this machine.

Needs no network. The models are the built-in one and an RN50 with weights drawn from a seed: speed does not
depend on their values. `--quick` measures next to nothing, to see that the program works.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from safetensors.torch import save_file

from maclip_daemon.iqa.models.seeded_checkpoint import seeded_prompts, seeded_state
from maclip_daemon.photos.decoder import Decoder
from maclip_daemon.processes.child import Child
from maclip_daemon.scoring.device import choose_precision
from maclip_daemon.scoring.scorer_client import ENVIRONMENT
from maclip_daemon.settings import DecodingSettings

from . import end_to_end, figures, machine
from . import photos as test_photos
from .figures import Row, Spread, ratios

SCRIPTS = Path(__file__).parents[1]
REQUEST_S = 300
RN50_WITH_TILES = "RN50 with tiles"
WITH_TILES = {"MACLIP_SCORING__PROTOCOL": "detail-8"}
WHOLE_WAYS = {"RN50": "whole_way", "built-in": "whole_way_builtin", RN50_WITH_TILES: "whole_way_tiles"}
"""Model → its key in the JSON."""
REFERENCE_VIEWS = 5  # of one photo, which is what the reference encodes at a time


@dataclass(frozen=True, slots=True)
class Plan:
    """The extent of a run."""

    width: int
    layers: tuple[int, ...]
    sizes: dict[int, tuple[int, int]]
    """Megapixels → width and height."""
    quoted: int
    """The size in megapixels whose end-to-end figure is quoted."""
    photos: int
    """Photos end to end at the quoted size; half as many at the others. A folder is found after a third of a
    second, whatever its size, and nothing is decoded meanwhile."""
    reference_photos: int
    warm_up: int
    repeats: int
    whole_repeats: int
    """Repeats end to end at the quoted size; half as many at the others."""
    batches: tuple[int, ...]
    matrix_scale: int
    built_in_too: bool
    """Whether the built-in model, and RN50 with tiles, are measured end to end too."""


FULL = Plan(64, (3, 4, 6, 3), test_photos.SIZES, 24, 64, 6, 4, 7, 5, (5, 10, 20, 40, 80), 1, True)
QUICK = Plan(8, (1, 1, 1, 1), {1: (1200, 900)}, 1, 3, 2, 1, 1, 1, (5,), 16, False)


class Bench:
    """One run: its files, its processes and its figures."""

    def __init__(self, plan: Plan, folder: Path, console: Console) -> None:
        self.plan = plan
        self._folder = folder
        self._console = console
        self.checkpoint = folder / "rn50.safetensors"
        state = seeded_state(0, width=plan.width, layers=plan.layers)
        save_file(state, self.checkpoint, {"prompts": json.dumps(seeded_prompts())})
        self.model = f"file:{self.checkpoint}"
        configuration = {
            "checkpoint": str(self.checkpoint),
            "width": plan.width,
            "layers": plan.layers,
        }
        # Children do not look for modules beside the program that starts them.
        paths = [str(SCRIPTS), *filter(None, [os.environ.get("PYTHONPATH")])]
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
        self.reference = Child("bench.reference", configuration)
        self.encoder = Child("bench.encoder", environment=ENVIRONMENT)
        self._batch_sizes = folder / "batch-sizes.json"
        self.limits: dict[str, Spread] = {}
        self.rows: list[Row] = []
        self.found: dict[str, Any] = {}

    def close(self) -> None:
        """End the processes."""
        self.reference.close()
        self.encoder.close()

    def report(self, what: str) -> None:
        """Print the progress on standard error."""
        self._console.print(f"[dim]{what} …[/dim]")

    def measure_limits(self, photo: Path) -> None:
        """Measure what the machine can do."""
        self.report("the machine's limits")
        plan = self.plan
        self.matrix = machine.matrix_rates(plan.repeats, plan.matrix_scale)
        for name, rate in self.matrix.items():
            self.limits[f"products of matrices, {name}: {'GOP/s' if name == 'int8' else 'GFLOP/s'}"] = rate
        self.limits["copies of large blocks, read and written: GB/s"] = machine.copy_rate(
            plan.repeats, plan.matrix_scale
        )
        for name, rate in machine.jpeg_rates(photo, plan.repeats).items():
            self.limits[f"libjpeg-turbo on one core, {plan.quoted} MP, {name}: ms"] = rate
        self.found["limits"] = {name: rate.as_json() for name, rate in self.limits.items()}

    def measure_encoder(self) -> None:
        """Measure views of RN50 in both precisions beside the reference's, and of the built-in model."""
        best = choose_precision("auto", torch.device("cpu"))
        for name, model in (("RN50", self.model), ("built-in", "builtin")):
            gflop = self._ask(self.encoder, flop=model)["gflop"]
            for precision in dict.fromkeys((best, "fp32")):
                self.report(f"the encoder: {name} in {precision}")
                self._measure_views(name, model, precision, gflop, chosen=precision == best)

    def _measure_views(self, name: str, model: str, precision: str, gflop: float, *, chosen: bool) -> None:
        ours: dict[int, list[float]] = {views: [] for views in self.plan.batches}
        theirs: list[float] = []
        for repeat in range(self.plan.repeats + 1):
            if name == "RN50":
                theirs += [self._ask(self.reference, views=REFERENCE_VIEWS)["seconds"] / REFERENCE_VIEWS]
            for views, taken in ours.items():
                asked = {"model": model, "precision": precision, "device": "cpu", "views": views}
                taken += [self._ask(self.encoder, **asked)["seconds"] / views]
            if not repeat:  # a first time, for memory and layouts
                theirs.clear()
                for taken in ours.values():
                    taken.clear()
        batch, fastest = min(
            ((views, Spread(tuple(1000 * one for one in taken))) for views, taken in ours.items()),
            key=lambda one: one[1].median,
        )
        reference = Spread(tuple(1000 * one for one in theirs)) if theirs else None
        ratio = ratios(reference, fastest) if reference else None
        share = gflop / fastest.median * 1000 / self.matrix[precision].median
        unit = f"ms a view, {batch} at a time"
        self.rows.append(Row(f"encoder, {name} in {precision}", unit, fastest, reference, ratio, share))
        described = {
            "precision": precision,
            "batch_views": batch,
            "gflop_a_view": round(gflop, 2),
            "ms_a_view": fastest.as_json(),
            "views_per_s": round(1000 / fastest.median, 1),
            "gflop_per_s": round(gflop / fastest.median * 1000, 1),
            "share_of_matrix_rate": round(share, 4),
            "ratio_to_reference": None if ratio is None else round(ratio.median, 3),
        }
        key = "encoder" if name == "RN50" else "encoder_builtin"
        self.found.setdefault(f"{key}_by_precision", {})[precision] = described
        if chosen:
            self.found[key] = described

    def measure_decoding(self, photos: dict[int, list[Path]]) -> None:
        """Measure a file → pixels at 448×448, in one decoder process, beside the reference's."""
        self.found["decoding"] = {}
        with tempfile.TemporaryDirectory(dir=self._folder) as spool:
            decoder = Decoder(DecodingSettings(), "spaq448", Path(spool))
            for megapixels, files in photos.items():
                self.report(f"decoding {megapixels} MP")
                ours, theirs = [], []
                for path in [files[0], *(files[turn % len(files)] for turn in range(self.plan.repeats))]:
                    theirs.append(1000 * self._ask(self.reference, decode=str(path))["seconds"])
                    ours.append(_milliseconds(decoder, path))
                spread, reference = Spread(tuple(ours[1:])), Spread(tuple(theirs[1:]))
                ratio = ratios(reference, spread)
                what = f"decoding {megapixels} MP JPEG to 448×448"
                self.rows.append(Row(what, "ms a photo, one process", spread, reference, ratio))
                self.found["decoding"][str(megapixels)] = {
                    "ms_a_photo": spread.as_json(),
                    "reference_ms_a_photo": reference.as_json(),
                    "ratio_to_reference": round(ratio.median, 3),
                    "bytes_a_photo": round(sum(file.stat().st_size for file in files) / len(files)),
                }
            decoder.close()

    def measure_whole_way(self, photos: dict[int, list[Path]], warm_up: Sequence[Path]) -> None:
        """Measure JPEG file → stored score in turns with the reference."""
        every = {"RN50": self.model} | (
            {"built-in": "builtin", RN50_WITH_TILES: self.model} if self.plan.built_in_too else {}
        )
        if self.plan.built_in_too:
            for name in ("RN50", "built-in"):
                self.report(f"the whole way: the batch size, which every machine looks for once, {name}")
                end_to_end.run(photos[self.plan.quoted], warm_up, every[name], self._batch_sizes)
        for megapixels, files in photos.items():
            quoted = megapixels == self.plan.quoted
            models = every if quoted else {"RN50": self.model}
            ours: dict[str, list[float]] = {name: [] for name in models}
            theirs: list[float] = []
            moved = 0.0
            for repeat in range(self.plan.whole_repeats if quoted else (self.plan.whole_repeats + 1) // 2):
                self.report(f"the whole way, {megapixels} MP, {repeat + 1}")
                judged = [self._ask(self.reference, judge=str(path)) for path in self._some(files)]
                theirs.append(len(judged) / sum(one["seconds"] for one in judged))
                for name, model in models.items():
                    settings = WITH_TILES if name == RN50_WITH_TILES else None
                    scored = end_to_end.run(files, warm_up, model, self._batch_sizes, settings)
                    ours[name].append(len(files) / scored.seconds)
                    if name == "RN50":
                        moved = max(
                            moved,
                            *(
                                abs(scored.scores[path.name] - one["score"])
                                for path, one in zip(self._some(files), judged, strict=True)
                            ),
                        )
            for name, rates in ours.items():
                self._add_whole_way(name, megapixels, Spread(tuple(rates)), Spread(tuple(theirs)), moved)

    def _some(self, files: Sequence[Path]) -> Sequence[Path]:
        return files[: self.plan.reference_photos]

    def _add_whole_way(
        self, name: str, megapixels: int, ours: Spread, reference: Spread, moved: float
    ) -> None:
        ratio = ratios(ours, reference)
        what = f"whole way, {megapixels} MP JPEG to stored score, {name}"
        self.rows.append(Row(what, "photos/s", ours, reference, ratio))
        described = {
            "megapixels": megapixels,
            "photos_per_s": ours.as_json(),
            "reference_photos_per_s": reference.as_json(),
            "ratio_to_reference": round(ratio.median, 3),
            "ratio_spread": ratio.as_json(),
        }
        if name == "RN50":
            described["largest_score_difference"] = round(moved, 6)
        key = WHOLE_WAYS[name]
        self.found.setdefault(f"{key}_by_megapixels", {})[str(megapixels)] = described
        if megapixels == self.plan.quoted:
            self.found[key] = described

    def _ask(self, child: Child, **header: Any) -> dict[str, Any]:
        return child.request(header, timeout_s=REQUEST_S).header


def _milliseconds(decoder: Decoder, path: Path) -> float:
    start = time.perf_counter()
    decoder.decode(path).discard()
    return 1000 * (time.perf_counter() - start)


def main(
    quick: Annotated[bool, typer.Option("--quick", help="See that it works.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Write the table into docs/performance.md.")] = False,
) -> None:
    """Measure the speed beside the authors' method and the machine's limits."""
    console = Console(stderr=True)
    plan = QUICK if quick else FULL
    about = machine.description()
    with tempfile.TemporaryDirectory(prefix="maclip-bench-") as name:
        folder = Path(name)
        bench = Bench(plan, folder, console)
        bench.report("making photos")
        photos = {
            megapixels: test_photos.make(
                folder / str(megapixels), size, plan.photos if megapixels == plan.quoted else plan.photos // 2
            )
            for megapixels, size in plan.sizes.items()
        }
        warm_up = test_photos.make(folder / "warm-up", plan.sizes[plan.quoted], plan.warm_up, first_seed=1)
        try:
            bench.measure_limits(photos[plan.quoted][0])
            bench.measure_encoder()
            bench.measure_decoding(photos)
            bench.measure_whole_way(photos, warm_up)
        finally:
            bench.close()
    if as_json:
        print(json.dumps(about | bench.found))
    else:
        figures.show(Console(width=160), bench.rows, bench.limits, about)
    if write:
        figures.write(bench.rows, bench.limits, about)
        console.print(f"The figures are in {figures.PAGE}.")
