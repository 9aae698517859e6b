"""The tower for tiles: its bursts of small photos, its loss, and that it learns sharpness."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from maclip_daemon.training.aligned_model import AlignedModel
from maclip_daemon.training.opinions.opinion_tuning import RatedPhotos
from maclip_daemon.training.recipe import SMOKE
from maclip_daemon.training.tiles.tile_bursts import cache_composed_tiles
from maclip_daemon.training.tiles.tile_faults import composed_burst, large_burst
from maclip_daemon.training.tiles.tile_ranking import tile_loss
from maclip_daemon.training.tiles.tile_training import first_tile_model, train_tiles
from tests.synthetic_photos import synthetic_photo

PHOTOS = [synthetic_photo(seed, 512, 400) for seed in range(8)]
RECIPE = dataclasses.replace(SMOKE, tile_compositions=2, good_subset="good")


def detail(tiles: NDArray[np.uint8]) -> float:
    return float(np.abs(np.diff(tiles.astype(float), axis=-2)).mean())


def rated() -> RatedPhotos:
    return RatedPhotos(
        tuple(str(number) for number in range(8)),
        PHOTOS,
        np.linspace(0, 1, 8),
        np.array(["good"] * 8),
        np.arange(8, dtype=np.int32),
    )


def test_a_burst_of_small_photos_shows_one_fault_in_all_of_them() -> None:
    generator = np.random.default_rng(3)
    for _ in range(3):
        tiles, burst = composed_burst(PHOTOS[:4], generator)
        assert tiles.shape == (8, 4, 224, 224, 3)
        assert burst.levels[:2] == (0.0, 0.0)
        for number, frame in enumerate(burst.frames):
            if frame.fault.kind in ("blur", "focus", "motion", "shake") and burst.levels[number] > 3:
                for place in range(4):
                    assert detail(tiles[number, place]) < detail(tiles[0, place])


def test_small_photos_are_enlarged_until_a_tile_can_move() -> None:
    small = [synthetic_photo(seed, 260, 384) for seed in range(2)]
    tiles, _ = composed_burst(small, np.random.default_rng(0))
    assert tiles.shape == (8, 2, 224, 224, 3)


def test_a_burst_of_a_large_photo_has_four_places_of_each_frame() -> None:
    photo = Image.fromarray(synthetic_photo(0, 400, 300)).resize((2400, 1600))
    tiles, burst = large_burst(photo, np.random.default_rng(1))
    assert tiles.shape == (len(burst.frames), 4, 224, 224, 3)


def test_cached_bursts_are_used_again(tmp_path: Path) -> None:
    first = cache_composed_tiles(rated(), RECIPE, tmp_path / "tiles.npz")
    assert first.tiles.shape[:3] == (2, 8, 4)
    again = cache_composed_tiles(rated().chosen(np.zeros(8, bool)), RECIPE, tmp_path / "tiles.npz")
    assert np.array_equal(first.tiles, again.tiles)
    assert np.array_equal(first.levels, again.levels)
    batch = next(first.batches(3, 128, np.random.default_rng(0)))
    assert batch.tiles.shape == (48, 3, 128, 128)
    assert (batch.levels[:, :2] == 0).all()
    assert (batch.levels[:, 2] < batch.levels[:, 3]).all()


def test_the_loss_is_smaller_where_sharp_frames_come_first() -> None:
    torch.manual_seed(0)
    model = AlignedModel(nn.Identity(), torch.randn(10, 16), 3.0, learn_prompts=False)
    good, bad = model.detail_prompts[::2].sum(0).detach(), model.detail_prompts[1::2].sum(0).detach()
    levels = torch.tensor([[0.0, 0.0, 1.0, 3.0]])
    shares = (levels / 5).reshape(4, 1).repeat_interleave(2, dim=0)
    features = (1 - shares) * good + shares * bad
    right = tile_loss(model.cues_of(features, detail=True), levels)
    wrong = tile_loss(model.cues_of(features.flip(0), detail=True), levels)
    assert float(right) < float(wrong)


def test_training_changes_the_tower_and_leaves_its_logit_scale(tmp_path: Path) -> None:
    bursts = cache_composed_tiles(rated(), RECIPE, tmp_path / "tiles.npz")
    image = AlignedModel(nn.Identity(), torch.randn(10, RECIPE.embedding), 2.5, learn_prompts=True)
    losses: list[float] = []
    untrained = first_tile_model(image, RECIPE)
    before = untrained.state_dict()["visual.convolutions.0.weight"].clone()
    trained = train_tiles(untrained, [bursts], RECIPE, lambda _, loss: losses.append(loss))
    assert len(losses) == RECIPE.tile_steps
    assert not torch.equal(before, trained.state_dict()["visual.convolutions.0.weight"])
    assert float(trained.logit_scale) == pytest.approx(2.5)
    assert not trained.training
