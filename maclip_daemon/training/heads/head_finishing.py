"""Head finishing: the last layers learn on, from many views of each photo at a time.

The stage before saw one view of a photo in a step, and each photo three times. What is below the pooling
stays here, so that its outputs were computed once. Tiles keep their cues, and grey copies and ladders theirs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from maclip_daemon.training.aligned_model import AlignedModel, Averaged, Cues
from maclip_daemon.training.alignment import (
    AlignmentWeights,
    Ladders,
    consistency_loss,
    ladder_loss,
    parameter_groups,
    training_steps,
)
from maclip_daemon.training.heads.pooled_views import PooledViews
from maclip_daemon.training.opinions.opinion_tuning import opinion_loss
from maclip_daemon.training.opinions.rated_drawing import RatedDrawing
from maclip_daemon.training.recipe import Recipe

_GREY_MARGIN = 0.01  # of the score


@dataclass(frozen=True)
class HeadViews:
    """What the last layers learn from."""

    colour: PooledViews
    drawing: RatedDrawing
    """How these photos are drawn, and what they should score."""
    grey: PooledViews
    """Of some photos in black and white."""
    grey_places: NDArray[np.intp]
    """Which photos these are."""
    ladders: Iterator[Ladders]
    """Batches of pooled views."""
    tiles: Tensor
    """[T, C], whose cues stay as they are."""


def finish_head(
    model: AlignedModel, views: HeadViews, recipe: Recipe, report: Callable[[int, float], None] | None = None
) -> AlignedModel:
    """Train a model whose tower is the head alone, in place; return the average of its weights.

    Its logit scale stays: the cues of a local tower have the same. `report` is called with each step and its
    loss.
    """
    generator = np.random.default_rng(recipe.seed + 51)
    model.logit_scale.requires_grad_(False)
    before = copy.deepcopy(model).requires_grad_(False)
    groups = parameter_groups(model, recipe.finish_rate, recipe.finish_rate, weight_decay=0.02)
    average = Averaged(model, recipe.finish_steps)
    losses = (_loss(model, before, views, recipe, generator) for _ in range(recipe.finish_steps))
    for step, loss in training_steps(model, losses, groups, average):
        if report is not None:
            report(step, loss)
    return average.model


def _loss(
    model: AlignedModel,
    before: AlignedModel,
    views: HeadViews,
    recipe: Recipe,
    generator: np.random.Generator,
) -> Tensor:
    drawing = views.drawing
    photos = generator.choice(
        len(drawing.targets),
        min(recipe.finish_batch, len(drawing.targets)),
        replace=False,
        p=drawing.chances,
    )
    greys = generator.choice(
        len(views.grey_places), min(recipe.finish_grey, len(views.grey_places)), replace=False
    )
    size = min(recipe.finish_tiles, len(views.tiles))
    tiles = views.tiles[torch.from_numpy(generator.choice(len(views.tiles), size, replace=False))]
    ladders = next(views.ladders)
    parts = [
        views.colour.draw(photos, recipe.finish_views, generator),
        views.colour.whole(views.grey_places[greys]),
        views.grey.whole(greys),
        ladders.views,
        tiles,
    ]
    found = torch.split(model.features(torch.cat(parts)), [len(part) for part in parts])
    targets = torch.from_numpy(drawing.targets).float()
    loss = opinion_loss(
        _means(model.cues_of(found[0]), recipe.finish_views),
        targets[photos],
        torch.from_numpy(drawing.groups[photos]),
    )
    colour, grey = model.cues_of(found[1]).score, model.cues_of(found[2]).score
    wanted = targets[views.grey_places[greys]]
    loss = loss + recipe.finish_grey_weight * (
        2 * consistency_loss(colour, grey, _GREY_MARGIN)
        + 0.5 * nn.functional.smooth_l1_loss(grey, wanted, beta=0.1)
    )
    loss = loss + recipe.finish_ladder_weight * ladder_loss(
        model.cues_of(found[3]), ladders, AlignmentWeights()
    )
    with torch.no_grad():
        kept = before.cues_of(before.features(tiles)).score
    return loss + recipe.finish_tile_weight * nn.functional.mse_loss(model.cues_of(found[4]).score, kept)


def _means(cues: Cues, count: int) -> Cues:
    """Return the cues of photos: means over `count` views of each."""
    parts = (
        cue.reshape(-1, count, *cue.shape[1:]).mean(dim=1)
        for cue in (cues.similarities, cues.q_sim, cues.q_mag, cues.score, cues.cosines)
    )
    return Cues(*parts)
