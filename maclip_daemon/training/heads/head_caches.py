"""What the last layers of a tower learn from: all caches of the training, seen from above its pooling."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from maclip_daemon.training.activation_cache import LadderCache, to_activations
from maclip_daemon.training.alignment import Ladders, together
from maclip_daemon.training.bursts.burst_cache import as_views
from maclip_daemon.training.heads.head_finishing import HeadViews
from maclip_daemon.training.heads.pooled_views import cache_pooled_views
from maclip_daemon.training.opinions.rated_drawing import drawing_of
from maclip_daemon.training.recipe import Recipe
from maclip_daemon.training.tiles.tile_bursts import TileBursts
from maclip_daemon.training.training_caches import TrainingCaches
from maclip_daemon.training.training_views import to_grey

_LADDERS_AT_ONCE = 40


@torch.inference_mode()
def head_views(caches: TrainingCaches, upper: nn.Sequential) -> HeadViews:
    """Return the views for the last layer of `upper`, the part of the tower above its frozen blocks."""
    recipe, rated = caches.recipe, caches.photos.learned
    below = upper[:-1].eval()
    trunk = nn.Sequential(caches.blocks, below)
    grey_places = np.arange(0, len(rated.photos), recipe.finish_grey_each)
    greys = (to_grey(rated.photos[int(place)]) for place in grey_places)
    seed, work = recipe.seed + 52, caches.work
    return HeadViews(
        cache_pooled_views(trunk, rated.photos, recipe.finish_crops, seed, work / "pooled.npz"),
        drawing_of(rated, recipe),
        cache_pooled_views(trunk, greys, 0, seed, work / "pooled-grey.npz"),
        grey_places,
        _ladder_batches([_pooled(caches.ladders(hard=hard), below) for hard in (True, False)], recipe),
        torch.cat([_tiles(trunk, part) for part in (caches.large_tiles(), caches.composed_tiles())]),
    )


def _pooled(ladders: LadderCache, below: nn.Module) -> tuple[LadderCache, Tensor]:
    """Return ladders with their pooled views [N, 3, C]."""
    parts = []
    for start in range(0, len(ladders.activations), _LADDERS_AT_ONCE):
        stored = np.array(ladders.activations[start : start + _LADDERS_AT_ONCE])
        views: Tensor = below(to_activations(stored.reshape(-1, *stored.shape[2:])))
        parts.append(views.reshape(len(stored), 3, -1))
    return ladders, torch.cat(parts)


def _ladder_batches(kinds: Sequence[tuple[LadderCache, Tensor]], recipe: Recipe) -> Iterator[Ladders]:
    """Yield batches of pooled ladders, without end, as many of each kind."""
    generator, count = np.random.default_rng(recipe.seed + 53), recipe.finish_ladders // len(kinds)
    while True:
        batches = []
        for ladders, pooled in kinds:
            chosen = generator.choice(len(pooled), min(count, len(pooled)), replace=False)
            columns = (
                torch.from_numpy(each[chosen]) for each in (ladders.better, ladders.worse, ladders.pairs)
            )
            batches.append(Ladders(pooled[torch.from_numpy(chosen)].transpose(0, 1).flatten(0, 1), *columns))
        yield functools.reduce(together, batches)


def _tiles(trunk: nn.Module, bursts: TileBursts) -> Tensor:
    """Return the pooled views of all tiles [T, C]."""
    return torch.cat([trunk(as_views(burst)) for burst in bursts.tiles])
