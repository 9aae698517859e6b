"""Training of the built-in model: ImageNet trunk → aligned without opinions → tuned on opinions → finished.

docs/builtin-model.md has the results. Every step is seeded. Complete files of the work folder are used again,
so that a stopped training continues with the stage it was in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from maclip_daemon.iqa.models import timm_tower
from maclip_daemon.iqa.models.timm_tower import LITE0, TimmTower
from maclip_daemon.iqa.towers import lite_tower
from maclip_daemon.training.aligned_model import AlignedModel, keep_depthwise_exact
from maclip_daemon.training.bursts.burst_cache import BurstCache
from maclip_daemon.training.bursts.fusion_fitting import (
    BurstTowers,
    FittedFusion,
    burst_report,
    cross_fitted,
    fit_fusion,
)
from maclip_daemon.training.bursts.large_photos import LargePhoto
from maclip_daemon.training.frozen_blocks import fast_copy
from maclip_daemon.training.opinions.opinion_tuning import RatedPhotos
from maclip_daemon.training.pretrained_trunk import pretrained_tower
from maclip_daemon.training.recipe import Recipe
from maclip_daemon.training.scene_split import held_out_scenes
from maclip_daemon.training.training_caches import Part, TrainingCaches, TrainingPhotos
from maclip_daemon.training.training_report import CUE_NAMES, agreement, judge_activations
from maclip_daemon.training.training_stages import StepReport, TrainingStages
from maclip_daemon.training.training_views import GREY_VIEWS

Log = Callable[[str], None]
_PAIRS = 5
_EDGE_PHOTOS = 4  # the star edges come from every fourth photo, and from those held out
_INITIAL_SCALE = 2.08  # ln 8: with CLIP's 100 the softmax of an untrained head would hardly have a gradient


@dataclass(frozen=True)
class Trained:
    """The models that the training made."""

    tower_settings: TimmTower
    aligned: AlignedModel
    """After the first stage, no opinion seen; whole tower."""
    tuned: AlignedModel
    """After all stages; whole tower."""
    local: AlignedModel | None
    """The local tower with its prompts; None without large photos."""
    scores: Mapping[str, NDArray[np.float64]]
    """Metric → the tuned model's scores of all photos, held out or not; the star edges come from them."""
    fusion: FittedFusion | None
    """How all cues make a score; None without large photos."""


def split(rated: RatedPhotos, large: Sequence[LargePhoto], recipe: Recipe) -> TrainingPhotos:
    """Return the photos to learn from and those held out, whole scenes."""
    mask = held_out_scenes(rated.scenes, rated.subsets, recipe.held_out_share, recipe.split_seed)
    return TrainingPhotos(
        rated.chosen(~mask),
        rated.chosen(mask),
        [photo for photo in large if not photo.is_held_out],
        [photo for photo in large if photo.is_held_out],
    )


def _first_tower(first_weights: Path | None, recipe: Recipe) -> tuple[TimmTower, nn.Module, nn.Module]:
    """Return the settings of the tower, its frozen blocks, and the rest."""
    torch.manual_seed(recipe.seed)
    settings = TimmTower(LITE0, recipe.embedding)
    tower = pretrained_tower(settings, first_weights).to(memory_format=torch.channels_last)
    frozen, upper = lite_tower.halves(tower, recipe.frozen_blocks)
    return settings, frozen.eval(), upper


def prepare(
    part: Part, photos: TrainingPhotos, first_weights: Path | None, work: Path, recipe: Recipe, log: Log
) -> None:
    """Make the caches of one part; `train` makes those that are missing."""
    _, frozen, _ = _first_tower(first_weights, recipe)
    TrainingCaches(fast_copy(frozen), photos, work, recipe).prepare(part, log)


def train(
    photos: TrainingPhotos,
    first_weights: Path | None,
    work: Path,
    recipe: Recipe,
    *,
    in_bfloat16: bool,
    log: Log = print,
) -> Trained:
    """Run all stages and return both models; an hour on two cores.

    `first_weights`: the trunk's, or None for random ones. `work` keeps caches and checkpoints (10 GB).
    `in_bfloat16`: for processors that have it. `log` is called with each line of the record.
    Raises `EnvironmentUnfit` for first weights of another file.
    """
    work.mkdir(parents=True, exist_ok=True)
    settings, frozen, upper = _first_tower(first_weights, recipe)
    caches = TrainingCaches(fast_copy(frozen), photos, work, recipe)
    keep_depthwise_exact(upper)
    model = AlignedModel(upper, _first_prompts(recipe), _INITIAL_SCALE, learn_prompts=True)
    model.in_bfloat16 = in_bfloat16
    stored, starts = caches.held_out_views()

    def report(stage: str, trained: AlignedModel) -> None:
        for line in agreement(judge_activations(trained, stored, starts), photos.held_out):
            log(f"{stage}: {line}")

    report_step = _step_reporter(log)
    stages = TrainingStages(model, caches)
    stages.align(report_step)
    report("aligned", model)
    aligned = _whole(settings, frozen, model, recipe)
    views = caches.rated_views()
    stages.tune(views, report_step, report)
    report("tuned", model)
    if photos.large:
        stages.finish(report_step)
        report("finished", model)
    scores = _reference_scores(model, [(stored, starts), _by_photo(views[::_EDGE_PHOTOS, :-GREY_VIEWS])])
    held = caches.held_out_bursts() if photos.large else None
    local = None if held is None else stages.local(report_step)
    fusion = None
    if held is not None and local is not None:
        fusion = _fuse(BurstTowers(fast_copy(frozen), model, local), held, recipe, log)
    return Trained(settings, aligned, _whole(settings, frozen, model, recipe), local, scores, fusion)


def _fuse(towers: BurstTowers, held_out: BurstCache, recipe: Recipe, log: Log) -> FittedFusion:
    """Return the fusion, fitted on scenes that no tower has learned; log its figures, cross-fitted."""
    towers.upper.in_bfloat16 = False  # as the scores are made; sharp frames differ by less than roundings
    unseen = towers.judge(held_out)
    for line in burst_report(cross_fitted(unseen, recipe.blocks_cost), unseen):
        log(f"bursts held out: {line}")
    return fit_fusion(unseen, recipe.blocks_cost)


def _step_reporter(log: Log) -> StepReport:
    """Return a report that logs every twenty-fifth step with its loss and the seconds since the start."""
    started = time.monotonic()

    def report_step(step: int, loss: float) -> None:
        if step % 25 == 24:
            log(f"step {step + 1}: loss {loss:.3f}, {time.monotonic() - started:.0f} s")

    return report_step


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
    """Return a copy of the trained model whose tower begins at the pixels.

    Its tiles are compared with the prompts of the other views: those that they learned order no better.
    """
    tower = timm_tower.join(settings, frozen, model.visual, recipe.frozen_blocks)
    return AlignedModel(
        tower, model.prompts.detach(), float(model.logit_scale.detach()), learn_prompts=False
    ).eval()
