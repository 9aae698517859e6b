"""Training of the tower for tiles, on bursts of large photos and of small ones side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from maclip_daemon.iqa.towers.local_tower import LocalTower
from maclip_daemon.training.aligned_model import AlignedModel, Averaged
from maclip_daemon.training.alignment import training_steps
from maclip_daemon.training.recipe import Recipe
from maclip_daemon.training.tiles.tile_bursts import TileBatch, TileBursts
from maclip_daemon.training.tiles.tile_ranking import tile_loss


def first_tile_model(model: AlignedModel, recipe: Recipe) -> AlignedModel:
    """Return an untrained model of tiles; prompts, logit scale and arithmetic are those of `model`."""
    torch.manual_seed(recipe.seed)
    tower = LocalTower(recipe.embedding)
    for convolution in tower.convolutions:
        assert isinstance(convolution, torch.nn.Conv2d)
        torch.nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        assert convolution.bias is not None
        torch.nn.init.zeros_(convolution.bias)
    torch.nn.init.normal_(tower.gate.weight, std=0.02)  # every place counts alike at first
    prompts, scale = model.detail_prompts.detach(), float(model.logit_scale.detach())
    tiles = AlignedModel(tower.to(memory_format=torch.channels_last), prompts, scale, learn_prompts=True)
    tiles.in_bfloat16 = model.in_bfloat16
    tiles.logit_scale.requires_grad_(False)  # a checkpoint has one, the image tower's
    return tiles


def train_tiles(
    model: AlignedModel,
    parts: list[TileBursts],
    recipe: Recipe,
    report: Callable[[int, float], None] | None = None,
) -> AlignedModel:
    """Train a model of tiles in place; return the average of its weights, the one to keep.

    `parts` take turns at random. `report` is called with each step and its loss.
    """
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: list[dict[str, object]] = [{"params": learned, "lr": recipe.tile_rate, "weight_decay": 1e-3}]
    average = Averaged(model, recipe.tile_steps)
    losses = (
        tile_loss(model.cues_of(model.features(batch.tiles), detail=True), batch.levels)
        for batch in _batches(parts, recipe)
    )
    for step, loss in training_steps(model, losses, groups, average):
        if report is not None:
            report(step, loss)
    average.model.in_bfloat16 = False  # as the scores are made: faults of half a pixel are less than rounding
    return average.model.eval()


def _batches(parts: list[TileBursts], recipe: Recipe) -> Iterator[TileBatch]:
    generator = np.random.default_rng(recipe.seed + 41)
    sources = [
        part.batches(recipe.tile_batch, recipe.tile_side, np.random.default_rng(recipe.seed + 42 + number))
        for number, part in enumerate(parts)
    ]
    while True:
        yield next(sources[int(generator.integers(len(sources)))])
