"""Training of the built-in model: ImageNet trunk → aligned without opinions → tuned on opinions.

docs/builtin-model.md has the results. Every step is seeded. Complete files of the work folder are used again,
so that a stopped training continues with the stage it was in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from maclip_daemon.iqa.models import timm_tower
from maclip_daemon.iqa.models.timm_tower import TimmTower
from maclip_daemon.training.activation_cache import (
    LadderCache,
    cache_ladders,
    cache_native_views,
    cache_random_views,
    to_activations,
)
from maclip_daemon.training.aligned_model import AlignedModel, keep_depthwise_exact
from maclip_daemon.training.alignment import Ladders, align, together
from maclip_daemon.training.opinion_tuning import (
    Rated,
    RatedPhotos,
    held_out,
    spread_targets,
    tune,
)
from maclip_daemon.training.pretrained_trunk import TRUNK, pretrained_tower
from maclip_daemon.training.recipe import Recipe
from maclip_daemon.training.training_report import CUE_NAMES, agreement, judge_activations

Log = Callable[[str], None]
StepReport = Callable[[int, float], None]
"""Called with each step, from 0, and its loss."""
_PAIRS = 5
_INITIAL_SCALE = 2.08  # ln 8: with CLIP's 100 the softmax of an untrained head would hardly have a gradient


@dataclass(frozen=True)
class Trained:
    """The models that the training made."""

    tower_settings: TimmTower
    aligned: AlignedModel
    """After the first stage, no opinion seen; whole tower."""
    tuned: AlignedModel
    """After all stages; whole tower."""
    scores: Mapping[str, NDArray[np.float64]]
    """Metric → the tuned model's scores of all photos, held out or not; the star edges come from them."""


def train(
    rated: RatedPhotos, first_weights: Path | None, work: Path, recipe: Recipe, log: Log = print
) -> Trained:
    """Run all stages and return both models; an hour or two on two cores.

    `first_weights`: the trunk's, or None for random ones. `work` keeps caches and checkpoints (3 GB).
    `log` is called with each line of the record. Raises `EnvironmentUnfit` for first weights of another file.
    """
    work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    mask = held_out(rated.subsets, recipe.held_out_share, recipe.split_seed)
    photos, valid = rated.chosen(~mask), rated.chosen(mask)
    settings = TimmTower(TRUNK, recipe.embedding)
    tower = pretrained_tower(settings, first_weights).to(memory_format=torch.channels_last)
    frozen, upper = timm_tower.halves(tower, recipe.frozen_blocks)
    frozen.eval()
    keep_depthwise_exact(upper)
    model = AlignedModel(upper, _first_prompts(recipe), _INITIAL_SCALE, learn_prompts=True)
    model.in_bfloat16 = True
    stored, starts = cache_native_views(frozen, valid.photos, work / "valid.npy")

    def report(stage: str, trained: AlignedModel) -> None:
        for line in agreement(judge_activations(trained, stored, starts), valid):
            log(f"{stage}: {line}")

    report_step = _step_reporter(log)
    stages = _Stages(model, frozen, photos, work, recipe)
    stages.align(report_step)
    report("aligned", model)
    aligned = _whole(settings, frozen, model, recipe)
    views = cache_random_views(frozen, photos.photos, recipe.crops, recipe.seed + 12, work / "rated.npy")
    ladders = stages.ladders("all.npz", recipe.tune_ladders, 13)
    stages.tune(views, ladders, report_step, report)
    report("tuned", model)
    stages.steady(views, ladders, report_step)
    report("steadied", model)
    scores = _reference_scores(model, [(stored, starts), _by_photo(views)])
    return Trained(settings, aligned, _whole(settings, frozen, model, recipe), scores)


@dataclass(frozen=True)
class _Stages:
    """The stages of the training: each trains the model, or takes the weights that it left in `work`."""

    model: AlignedModel
    frozen: nn.Module
    """The first blocks of the trunk."""
    photos: RatedPhotos
    work: Path
    recipe: Recipe

    def ladders(self, file_name: str, count: int, seed: int, *, hard: bool = False) -> LadderCache:
        """Return ladders of all photos, from the work folder where they are there."""
        return cache_ladders(
            self.frozen, self.photos.photos, count, self.recipe.seed + seed, self.work / file_name, hard=hard
        )

    def align(self, report_step: StepReport) -> None:
        """Align the model on good photos, without opinions."""
        recipe = self.recipe
        good = self.photos.chosen(self.photos.subsets == recipe.good_subset)

        def run() -> AlignedModel:
            ladders = cache_ladders(
                self.frozen, good.photos, recipe.align_ladders, recipe.seed + 11, self.work / "good.npz"
            )
            return align(
                self.model,
                ladders.batches(recipe.align_batch, np.random.default_rng(recipe.seed + 21)),
                recipe.align_steps,
                tower_rate=recipe.align_tower_rate,
                head_rate=recipe.align_head_rate,
                report=report_step,
            )

        _load_or(self.work / "aligned.pt", self.model, run)

    def tune(
        self,
        views: NDArray[np.float16],
        ladders: LadderCache,
        report_step: StepReport,
        report: Callable[[str, AlignedModel], None],
    ) -> None:
        """Tune the model on opinions; every fourth epoch is reported."""
        recipe = self.recipe
        steps_each = max(1, len(self.photos.photos) // recipe.tune_batch)

        def report_tuning(step: int, loss: float, average: AlignedModel) -> None:
            report_step(step, loss)
            if (step + 1) % (steps_each * 4) == 0:
                report(f"epoch {(step + 1) // steps_each}", average)

        def run() -> AlignedModel:
            batches = ladders.batches(recipe.tune_ladder_batch, np.random.default_rng(recipe.seed + 22))
            return tune(
                self.model,
                _rated_batches(self.photos, views, batches, recipe, recipe.seed + 31),
                recipe.tune_epochs * steps_each,
                tower_rate=recipe.tune_tower_rate,
                head_rate=recipe.tune_head_rate,
                ladder_weight=recipe.ladder_weight,
                report=report_tuning,
            )

        _load_or(self.work / "tuned.pt", self.model, run)

    def steady(self, views: NDArray[np.float16], ladders: LadderCache, report_step: StepReport) -> None:
        """Tune the model with hard ladders beside the ordinary ones."""
        recipe = self.recipe
        many, few = recipe.steady_ladder_batches
        hard = self.ladders("hard.npz", recipe.steady_ladders, 14, hard=True)

        def run() -> AlignedModel:
            batches = map(
                together,
                hard.batches(many, np.random.default_rng(recipe.seed + 23)),
                ladders.batches(few, np.random.default_rng(recipe.seed + 24)),
            )
            return tune(
                self.model,
                _rated_batches(self.photos, views, batches, recipe, recipe.seed + 32),
                recipe.steady_steps,
                tower_rate=recipe.steady_tower_rate,
                head_rate=recipe.steady_head_rate,
                ladder_weight=recipe.ladder_weight,
                report=lambda step, loss, _average: report_step(step, loss),
            )

        _load_or(self.work / "steadied.pt", self.model, run)


def _step_reporter(log: Log) -> StepReport:
    """Return a report that logs every twenty-fifth step with its loss and the seconds since the start."""
    started = time.monotonic()

    def report_step(step: int, loss: float) -> None:
        if step % 25 == 24:
            log(f"step {step + 1}: loss {loss:.3f}, {time.monotonic() - started:.0f} s")

    return report_step


def _load_or(path: Path, model: AlignedModel, make: Callable[[], AlignedModel]) -> None:
    """Load the weights that a stage left in `path`; run the stage first where it left none."""
    if not path.is_file():
        torch.save(make().state_dict(), path)
    model.load_state_dict(torch.load(path, weights_only=True))


def _by_photo(views: NDArray[np.float16]) -> tuple[NDArray[np.float16], list[int]]:
    flat = views.reshape(-1, *views.shape[2:])
    return flat, list(range(0, len(flat) + 1, views.shape[1]))


def _reference_scores(
    model: AlignedModel, parts: Sequence[tuple[NDArray[np.float16], list[int]]]
) -> dict[str, NDArray[np.float64]]:
    judged = np.concatenate([judge_activations(model, stored, starts) for stored, starts in parts])
    return {"maclip": judged[:, CUE_NAMES.index("score")], "magnitude": judged[:, CUE_NAMES.index("q_mag")]}


def _first_prompts(recipe: Recipe) -> torch.Tensor:
    """Return random directions [10, D], the two of a pair partly opposed; the stages move them."""
    generator = torch.Generator().manual_seed(recipe.seed + 7)
    prompts = torch.randn(2 * _PAIRS, recipe.embedding, generator=generator)
    prompts[1::2] = 0.7 * (prompts[1::2] - prompts[::2])
    return prompts


def _whole(settings: TimmTower, frozen: nn.Module, model: AlignedModel, recipe: Recipe) -> AlignedModel:
    """Return a copy of the trained model whose tower begins at the pixels."""
    tower = timm_tower.join(settings, frozen, model.visual, recipe.frozen_blocks)
    return AlignedModel(
        tower, model.prompts.detach(), float(model.logit_scale.detach()), learn_prompts=False
    ).eval()


def _rated_batches(
    rated: RatedPhotos,
    views: NDArray[np.float16],
    ladders: Iterator[Ladders],
    recipe: Recipe,
    seed: int,
) -> Iterator[Rated]:
    """Yield batches, without end, of one view from each of some photos, and of ladders."""
    weights = recipe.weights(rated.subsets)
    targets = spread_targets(rated.opinions, weights)
    # The square root: the many photos of the large subset do not drown the others.
    chances = np.sqrt(weights) / np.sqrt(weights).sum()
    generator = np.random.default_rng(seed)
    while True:
        chosen = generator.choice(len(targets), recipe.tune_batch, replace=False, p=chances)
        which = generator.integers(0, views.shape[1], recipe.tune_batch)
        stored = np.stack([views[photo, view] for photo, view in zip(chosen, which, strict=True)])
        yield Rated(to_activations(stored), torch.from_numpy(targets[chosen]).float(), next(ladders))
