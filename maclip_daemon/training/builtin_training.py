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
from maclip_daemon.iqa.models.timm_tower import LITE0, TimmTower
from maclip_daemon.iqa.towers import lite_tower
from maclip_daemon.training.activation_cache import to_activations
from maclip_daemon.training.aligned_model import AlignedModel, keep_depthwise_exact
from maclip_daemon.training.alignment import Ladders, align, together
from maclip_daemon.training.bursts.burst_cache import BurstBatch, BurstCache
from maclip_daemon.training.bursts.fusion_fitting import (
    BurstTowers,
    FittedFusion,
    burst_report,
    cross_fitted,
    fit_fusion,
)
from maclip_daemon.training.bursts.large_photos import LargePhoto
from maclip_daemon.training.frozen_blocks import fast_copy
from maclip_daemon.training.opinion_tuning import (
    Rated,
    RatedPhotos,
    TuningWeights,
    spread_targets,
    tune,
)
from maclip_daemon.training.pretrained_trunk import pretrained_tower
from maclip_daemon.training.recipe import Recipe
from maclip_daemon.training.scene_split import held_out_scenes
from maclip_daemon.training.tiles.tile_training import first_tile_model, train_tiles
from maclip_daemon.training.training_caches import Part, TrainingCaches, TrainingPhotos
from maclip_daemon.training.training_report import CUE_NAMES, agreement, judge_activations
from maclip_daemon.training.training_views import GREY_VIEWS

Log = Callable[[str], None]
StepReport = Callable[[int, float], None]
"""Called with each step, from 0, and its loss."""
_PAIRS = 5
_EDGE_PHOTOS = 4  # the star edges come from every fourth photo, and from those held out
_REPORTED_STEPS = 1000
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
    photos: TrainingPhotos, first_weights: Path | None, work: Path, recipe: Recipe, log: Log = print
) -> Trained:
    """Run all stages and return both models; an hour on two cores.

    `first_weights`: the trunk's, or None for random ones. `work` keeps caches and checkpoints (10 GB).
    `log` is called with each line of the record. Raises `EnvironmentUnfit` for first weights of another file.
    """
    work.mkdir(parents=True, exist_ok=True)
    settings, frozen, upper = _first_tower(first_weights, recipe)
    caches = TrainingCaches(fast_copy(frozen), photos, work, recipe)
    keep_depthwise_exact(upper)
    model = AlignedModel(upper, _first_prompts(recipe), _INITIAL_SCALE, learn_prompts=True)
    model.in_bfloat16 = True
    stored, starts = caches.held_out_views()

    def report(stage: str, trained: AlignedModel) -> None:
        for line in agreement(judge_activations(trained, stored, starts), photos.held_out):
            log(f"{stage}: {line}")

    report_step = _step_reporter(log)
    stages = _Stages(model, caches)
    stages.align(report_step)
    report("aligned", model)
    aligned = _whole(settings, frozen, model, recipe)
    views = caches.rated_views()
    stages.tune(views, report_step, report)
    report("tuned", model)
    scores = _reference_scores(model, [(stored, starts), _by_photo(views[::_EDGE_PHOTOS, :-GREY_VIEWS])])
    held = caches.held_out_bursts() if photos.large else None
    local = None if held is None else stages.local(report_step)
    fusion = None
    if held is not None and local is not None:
        fusion = _fuse(BurstTowers(fast_copy(frozen), model, local), held, log)
    return Trained(settings, aligned, _whole(settings, frozen, model, recipe), local, scores, fusion)


def _fuse(towers: BurstTowers, held_out: BurstCache, log: Log) -> FittedFusion:
    """Return the fusion, fitted on scenes that no tower has learned; log its figures, cross-fitted."""
    towers.upper.in_bfloat16 = False  # as the scores are made; sharp frames differ by less than roundings
    unseen = towers.judge(held_out)
    for line in burst_report(cross_fitted(unseen), unseen):
        log(f"bursts held out: {line}")
    return fit_fusion(unseen)


@dataclass(frozen=True)
class _Stages:
    """The stages of the training: each trains the model, or takes the weights that it left in `work`."""

    model: AlignedModel
    caches: TrainingCaches

    def align(self, report_step: StepReport) -> None:
        """Align the model on good photos, without opinions."""
        recipe = self.caches.recipe

        def run() -> AlignedModel:
            return align(
                self.model,
                self.caches.good_ladders().batches(
                    recipe.align_batch, np.random.default_rng(recipe.seed + 21)
                ),
                recipe.align_steps,
                tower_rate=recipe.align_tower_rate,
                head_rate=recipe.align_head_rate,
                report=report_step,
            )

        _load_or(self.caches.work / "aligned.pt", self.model, run)

    def tune(
        self,
        views: NDArray[np.float16],
        report_step: StepReport,
        report: Callable[[str, AlignedModel], None],
    ) -> None:
        """Tune the model on opinions, ladders and bursts; it is reported now and then."""
        recipe = self.caches.recipe

        def report_tuning(step: int, loss: float, average: AlignedModel) -> None:
            report_step(step, loss)
            if (step + 1) % _REPORTED_STEPS == 0 and step + 1 < recipe.tune_steps:
                report(f"step {step + 1}", average)

        def run() -> AlignedModel:
            return tune(
                self.model,
                _rated_batches(self.caches, views),
                recipe.tune_steps,
                tower_rate=recipe.tune_tower_rate,
                head_rate=recipe.tune_head_rate,
                weights=TuningWeights(recipe.ladder_weight, recipe.burst_weight, recipe.grey_weight),
                report=report_tuning,
            )

        _load_or(self.caches.work / "tuned.pt", self.model, run)

    def local(self, report_step: StepReport) -> AlignedModel:
        """Return the local tower, trained on bursts of tiles; its prompts begin as the tuned model's."""
        recipe, caches = self.caches.recipe, self.caches
        model = first_tile_model(self.model, recipe)

        def run() -> AlignedModel:
            return train_tiles(model, [caches.large_tiles(), caches.composed_tiles()], recipe, report_step)

        _load_or(caches.work / "tiles.pt", model, run)
        return model.eval()


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
    """Return a copy of the trained model whose tower begins at the pixels.

    Its tiles are compared with the prompts of the other views: those that they learned order no better.
    """
    tower = timm_tower.join(settings, frozen, model.visual, recipe.frozen_blocks)
    return AlignedModel(
        tower, model.prompts.detach(), float(model.logit_scale.detach()), learn_prompts=False
    ).eval()


def _rated_batches(caches: TrainingCaches, views: NDArray[np.float16]) -> Iterator[Rated]:
    """Yield batches, without end: one view from each of some photos, grey copies, ladders and bursts."""
    recipe, rated = caches.recipe, caches.photos.learned
    weights = recipe.weights(rated.subsets)
    targets = spread_targets(rated.opinions, weights)
    # The square root: the many photos of the large subset do not drown the others.
    names, groups, sizes = np.unique(rated.subsets, return_inverse=True, return_counts=True)
    shares = dict(recipe.subset_shares)
    chances = (np.sqrt([shares.get(str(name), 1.0) for name in names]) / sizes)[groups]
    chances /= chances.sum()
    generator = np.random.default_rng(recipe.seed + 31)
    ladders = _ladder_batches(caches)
    bursts = _burst_batches(caches.bursts(), recipe)
    colours, grey = views.shape[1] - GREY_VIEWS, recipe.tune_grey
    while True:
        chosen = generator.choice(len(targets), recipe.tune_batch, replace=False, p=chances)
        which = generator.integers(0, colours, recipe.tune_batch)
        which[:grey] %= GREY_VIEWS  # these have a grey copy
        copies = np.concatenate([which, colours + which[:grey]])
        everyone = np.concatenate([chosen, chosen[:grey]])
        stored = np.stack([views[photo, view] for photo, view in zip(everyone, copies, strict=True)])
        yield Rated(
            to_activations(stored),
            torch.from_numpy(targets[everyone]).float(),
            torch.from_numpy(groups[everyone]),
            grey,
            next(ladders),
            None if bursts is None else next(bursts),
        )


def _ladder_batches(caches: TrainingCaches) -> Iterator[Ladders]:
    """Yield batches of ladders, half of them hard."""
    recipe = caches.recipe
    hard = recipe.tune_ladders // 2
    return map(
        together,
        caches.ladders(hard=True).batches(hard, np.random.default_rng(recipe.seed + 23)),
        caches.ladders(hard=False).batches(
            recipe.tune_ladders - hard, np.random.default_rng(recipe.seed + 24)
        ),
    )


def _burst_batches(bursts: BurstCache | None, recipe: Recipe) -> Iterator[BurstBatch] | None:
    if bursts is None:
        return None
    generator = np.random.default_rng(recipe.seed + 25)
    return bursts.batches(recipe.tune_bursts, recipe.tune_tiles, generator)
