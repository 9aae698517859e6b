"""The last layers learn on: from pooled views, without touching what is below them."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from maclip_daemon.training.aligned_model import AlignedModel
from maclip_daemon.training.alignment import Ladders
from maclip_daemon.training.heads.head_finishing import HeadViews, finish_head
from maclip_daemon.training.heads.pooled_views import PooledViews, cache_pooled_views
from maclip_daemon.training.opinions.opinion_tuning import RatedPhotos, rank_correlation
from maclip_daemon.training.opinions.rated_drawing import RatedDrawing, drawing_of
from maclip_daemon.training.recipe import SMOKE
from tests.synthetic_photos import synthetic_photo

COUNT, WIDTH = 40, 12
RECIPE = dataclasses.replace(
    SMOKE, finish_steps=120, finish_batch=16, finish_grey=4, finish_tiles=8, finish_rate=3e-3
)


def pooled(values: Tensor, views: int) -> PooledViews:
    return PooledViews(values, np.arange(0, len(values) + 1, views))


@pytest.fixture
def views() -> HeadViews:
    """Return photos whose quality is the first of their numbers; the rest is noise."""
    random = torch.Generator().manual_seed(0)
    quality = torch.linspace(-1, 1, COUNT)
    values = 0.3 * torch.randn(COUNT, 3, WIDTH, generator=random)
    values[:, :, 0] += quality[:, None]
    ladders = Ladders(
        torch.randn(6, WIDTH, generator=random), torch.zeros(2), torch.ones(2), torch.ones(2, 5)
    )
    return HeadViews(
        pooled(values.flatten(0, 1), 3),
        RatedDrawing(np.linspace(0.1, 0.95, COUNT), np.arange(COUNT) % 2, np.full(COUNT, 1 / COUNT)),
        pooled(values[::4, -1], 1),
        np.arange(0, COUNT, 4),
        itertools.repeat(ladders),
        torch.randn(20, WIDTH, generator=random) - 3,
    )


@pytest.fixture
def model() -> AlignedModel:
    torch.manual_seed(1)
    return AlignedModel(nn.Linear(WIDTH, 16), torch.randn(10, 16), 2.0, learn_prompts=True)


def scores(model: AlignedModel, values: Tensor) -> Tensor:
    with torch.inference_mode():
        return model.cues_of(model.features(values)).score


def test_opinions_are_followed_better_and_tiles_keep_their_cues(
    model: AlignedModel, views: HeadViews
) -> None:
    def agreement(judged: AlignedModel) -> float:
        found = scores(judged, views.colour.values).reshape(COUNT, 3).mean(dim=1).double().numpy()
        return rank_correlation(found, views.drawing.targets)

    before, losses = copy.deepcopy(model), []
    finished = finish_head(model, views, RECIPE, lambda _, loss: losses.append(loss))
    assert len(losses) == RECIPE.finish_steps
    assert torch.equal(finished.logit_scale, before.logit_scale)
    assert agreement(finished) > max(0.8, agreement(before) + 0.2)
    moved = (scores(finished, views.tiles) - scores(before, views.tiles)).abs().mean()
    free = finish_head(copy.deepcopy(before), views, dataclasses.replace(RECIPE, finish_tile_weight=0.0))
    assert moved < (scores(free, views.tiles) - scores(before, views.tiles)).abs().mean() / 2


def test_a_photo_of_few_views_gives_some_of_them_again() -> None:
    few = PooledViews(torch.arange(7.0)[:, None], np.array([0, 1, 7]))
    drawn = few.draw(np.array([0, 1]), 3, np.random.default_rng(0)).flatten().tolist()
    assert drawn[:3] == [0, 0, 0]
    assert len(set(drawn[3:])) == 3
    assert set(drawn[3:]) <= {1, 2, 3, 4, 5, 6}
    assert few.whole(np.array([1, 0])).flatten().tolist() == [6, 0]


def test_pooled_views_are_those_of_the_program_and_are_used_again(tmp_path: Path) -> None:
    photos = [synthetic_photo(seed, 512, 384) for seed in range(2)]
    trunk = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    made = cache_pooled_views(trunk, photos, 2, 0, tmp_path / "pooled.npz")
    assert made.starts.tolist() == [0, 3, 6]
    assert made.values.shape == (6, 3)
    whole = cache_pooled_views(trunk, photos, 0, 1, tmp_path / "whole.npz")
    torch.testing.assert_close(whole.values, made.whole(np.array([0, 1])))
    again = cache_pooled_views(trunk, [], 2, 0, tmp_path / "pooled.npz")
    assert torch.equal(again.values, made.values)


def test_another_tower_does_not_get_the_views_of_the_one_before(tmp_path: Path) -> None:
    photos = [synthetic_photo(0, 512, 384)]
    towers = [nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()) for _ in range(2)]
    one, other = (cache_pooled_views(tower, photos, 2, 0, tmp_path / "pooled.npz") for tower in towers)
    assert not torch.equal(one.values, other.values)
    fewer = cache_pooled_views(towers[0], photos, 1, 0, tmp_path / "pooled.npz")
    assert fewer.starts.tolist() == [0, 2]


def test_small_subsets_are_drawn_more_often_than_their_share() -> None:
    rated = RatedPhotos(
        tuple("abcde"),
        [],
        np.linspace(0, 1, 5),
        np.array(["ss01"] + ["ss03"] * 4),
        np.arange(5, dtype=np.int32),
    )
    chances = drawing_of(rated, SMOKE).chances
    assert chances.sum() == pytest.approx(1)
    assert chances[0] == pytest.approx(1 / 3)  # one of five photos; BIQ2021 has four times as many of ss03
