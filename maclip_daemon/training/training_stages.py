"""The stages of the built-in model's training: each trains the model, or takes the weights that it left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from maclip_daemon.training.activation_cache import to_activations
from maclip_daemon.training.aligned_model import AlignedModel
from maclip_daemon.training.alignment import Ladders, align, together
from maclip_daemon.training.bursts.burst_cache import BurstBatch, BurstCache
from maclip_daemon.training.heads.head_caches import head_views
from maclip_daemon.training.heads.head_finishing import finish_head
from maclip_daemon.training.opinions.opinion_tuning import Rated, TuningWeights, tune
from maclip_daemon.training.opinions.rated_drawing import drawing_of
from maclip_daemon.training.recipe import Recipe
from maclip_daemon.training.tiles.tile_training import first_tile_model, train_tiles
from maclip_daemon.training.training_caches import TrainingCaches
from maclip_daemon.training.training_views import GREY_VIEWS

StepReport = Callable[[int, float], None]
"""Called with each step, from 0, and its loss."""
_REPORTED_STEPS = 1000


@dataclass(frozen=True)
class TrainingStages:
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

    def finish(self, report_step: StepReport) -> None:
        """Train the last layers of the model on; what is below them stays."""
        model, recipe = self.model, self.caches.recipe
        upper = model.visual
        assert isinstance(upper, nn.Sequential)
        head = AlignedModel(
            upper[-1], model.prompts.detach(), float(model.logit_scale.detach()), learn_prompts=True
        )

        def run() -> AlignedModel:
            return finish_head(head, head_views(self.caches, upper), recipe, report_step)

        _load_or(self.caches.work / "head.pt", head, run)
        # The head is a part of the model and learned in its place; the prompts were a copy.
        model.prompts.data.copy_(head.prompts.data)

    def local(self, report_step: StepReport) -> AlignedModel:
        """Return the local tower, trained on bursts of tiles; its prompts begin as the finished model's."""
        recipe, caches = self.caches.recipe, self.caches
        model = first_tile_model(self.model, recipe)

        def run() -> AlignedModel:
            return train_tiles(model, [caches.large_tiles(), caches.composed_tiles()], recipe, report_step)

        _load_or(caches.work / "tiles.pt", model, run)
        return model.eval()


def _load_or(path: Path, model: AlignedModel, make: Callable[[], AlignedModel]) -> None:
    """Load the weights that a stage left in `path`; run the stage first where it left none."""
    if not path.is_file():
        torch.save(make().state_dict(), path)
    model.load_state_dict(torch.load(path, weights_only=True))


def _rated_batches(caches: TrainingCaches, views: NDArray[np.float16]) -> Iterator[Rated]:
    """Yield batches, without end: one view from each of some photos, grey copies, ladders and bursts."""
    recipe, rated = caches.recipe, caches.photos.learned
    drawing = drawing_of(rated, recipe)
    targets, groups, chances = drawing.targets, drawing.groups, drawing.chances
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
