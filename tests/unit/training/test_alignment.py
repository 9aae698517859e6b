from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from maclip_daemon.errors import UsageError
from maclip_daemon.iqa import cues
from maclip_daemon.iqa.models.checkpoints import load_checkpoint
from maclip_daemon.iqa.models.loading import prompt_features
from maclip_daemon.iqa.models.timm_tower import TimmTower
from maclip_daemon.iqa.prompts import CLIPIQA_PAIRS, MACLIP_PAIRS, QUALICLIP_PAIRS
from maclip_daemon.training.aligned_model import AlignedModel, Averaged, Cues
from maclip_daemon.training.alignment import (
    AlignmentWeights,
    Ladders,
    align,
    anchor_loss,
    consistency_loss,
    correlation_loss,
    ladder_loss,
    likeness_loss,
    ranking_loss,
)
from maclip_daemon.training.builtin_file import write_model
from maclip_daemon.training.bursts.burst_ranking import burst_loss
from maclip_daemon.training.clip_alignment import align_checkpoint
from maclip_daemon.training.pretrained_trunk import pretrained_tower
from maclip_daemon.training.training_views import ladder_batch
from tests.synthetic_photos import synthetic_photo

PHOTOS = [synthetic_photo(seed, 320, 280) for seed in range(3)]


class SmallTower(nn.Module):
    """Sees the mean size of differences between neighbouring pixels: just enough to tell blur from noise."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Linear(6, 32), nn.GELU(), nn.Linear(32, 24))

    def forward(self, views: Tensor) -> Tensor:
        across = (views[..., 1:] - views[..., :-1]).abs().mean(dim=(2, 3))
        return self.head(torch.cat([across, views.std(dim=(2, 3))], dim=1))


def small_model() -> AlignedModel:
    torch.manual_seed(0)
    return AlignedModel(SmallTower(), torch.randn(10, 24), 2.0, learn_prompts=True)


def test_the_ranking_loss_is_zero_beyond_the_margin_and_grows_with_disorder() -> None:
    better, worse = torch.tensor([0.9, 0.4]), torch.tensor([0.5, 0.6])
    assert ranking_loss(better, worse, 0.1).item() == pytest.approx((0 + 0.3) / 2)


def test_the_consistency_loss_forgives_the_margin() -> None:
    first, second = torch.tensor([0.5, 0.9]), torch.tensor([0.52, 0.6])
    assert consistency_loss(first, second, 0.05).item() == pytest.approx((0 + 0.25) / 2)


def test_the_correlation_loss_sees_order_and_not_scale() -> None:
    target = torch.tensor([0.1, 0.4, 0.9])
    assert correlation_loss(3 * target + 1, target).item() == pytest.approx(0, abs=1e-5)
    assert correlation_loss(-target, target).item() == pytest.approx(2, abs=1e-5)


def test_training_sees_the_same_cues_as_judging() -> None:
    model, features = small_model(), torch.randn(7, 24)
    found = model.cues_of(features)
    prompts = nn.functional.normalize(model.prompts, dim=-1)
    similarity = cues.q_sim(cues.pair_similarities(features, prompts, model.logit_scale.exp().item()))
    magnitude = cues.q_mag(features)
    fused = cues.fuse(similarity, magnitude, cues.fusion_weights(similarity, magnitude))
    torch.testing.assert_close(found.q_sim, similarity)
    torch.testing.assert_close(found.score, fused)


def test_both_cues_and_the_prompts_get_a_gradient() -> None:
    model = small_model()
    ladders = ladder_batch(PHOTOS, 3, np.random.default_rng(0))
    found = model(ladders.views)
    (ladder_loss(found, ladders, AlignmentWeights()) + anchor_loss(found, ladders)).backward()
    for name, parameter in model.named_parameters():
        if name != "detail_prompts":  # those are for tiles
            assert parameter.grad is not None, name
            assert float(parameter.grad.abs().sum()) > 0, name


def test_the_prompts_of_tiles_learn_from_tiles() -> None:
    model = small_model()
    views, tiles = torch.randn(4, 24), torch.randn(8, 24)
    levels = torch.tensor([[0.0, 0.0, 1.0, 3.0]])
    burst_loss(model.cues_of(views), model.cues_of(tiles, detail=True), levels).backward()
    assert model.detail_prompts.grad is not None
    assert float(model.detail_prompts.grad.abs().sum()) > 0


def test_a_burst_in_order_costs_less_than_one_in_disorder() -> None:
    model = small_model()
    levels = torch.tensor([[0.0, 0.0, 1.0, 3.0]])
    found = model.cues_of(torch.randn(4, 24))
    scores = torch.tensor([0.85, 0.85, 0.72, 0.46])

    def loss(values: Tensor) -> float:
        told = Cues(found.similarities, values, values, values, found.cosines)
        return burst_loss(told, told, levels).item()

    assert loss(scores) < loss(scores.flip(0))


def test_a_view_less_like_the_good_prompt_costs_nothing_if_more_like_the_bad_one() -> None:
    batch = ladder_batch(PHOTOS, 2, np.random.default_rng(0))
    found = small_model().cues_of(torch.randn(6, 24))
    first, _, worse = found.chunk(3)
    pairs = torch.tensor([-0.9, 0.9]).repeat(5)
    apart = Cues(worse.similarities, worse.q_sim, worse.q_mag, worse.score, first.cosines + pairs)
    assert likeness_loss(first, apart, batch, 0.015).item() == 0
    assert likeness_loss(apart, first, batch, 0.015).item() > 0.5


def test_a_ladder_holds_two_crops_at_the_better_level_and_one_at_the_worse() -> None:
    ladders = ladder_batch(PHOTOS, 5, np.random.default_rng(2))
    assert ladders.views.shape == (15, 3, 224, 224)
    assert bool((ladders.worse > ladders.better).all())
    assert bool((ladders.better >= 0).all())
    assert bool((ladders.worse <= 5).all())
    assert bool((ladders.pairs[:, 0] == 1).all())


def test_the_same_seed_makes_the_same_ladders() -> None:
    first, second = (ladder_batch(PHOTOS, 2, np.random.default_rng(9)) for _ in range(2))
    assert torch.equal(first.views, second.views)


def test_alignment_puts_degradations_in_order() -> None:
    batch = ladder_batch(PHOTOS, 8, np.random.default_rng(1))
    model = small_model()
    scores_only = AlignmentWeights(likeness=0)  # likeness is in cosines, and falls on another scale
    before = ladder_loss(model(batch.views), batch, scores_only).item()
    losses: list[float] = []
    aligned = align(
        model,
        iter(lambda: batch, None),
        150,
        tower_rate=1e-3,
        head_rate=1e-2,
        weights=scores_only,
        report=lambda _step, loss: losses.append(loss),
    )
    after = ladder_loss(aligned(batch.views), batch, scores_only).item()
    assert len(losses) == 150
    assert after < 0.7 * before


def test_the_average_follows_the_model_slowly() -> None:
    model = small_model()
    average = Averaged(model, steps=135)  # a tenth of each step
    before = average.model.prompts.clone()
    with torch.no_grad():
        model.prompts.add_(1)
    average.update(model)
    torch.testing.assert_close(average.model.prompts, before + 0.1)


def test_a_clip_is_aligned_and_still_loads_with_its_prompts(seeded_path: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(seeded_path)
    target = tmp_path / "aligned.safetensors"
    align_checkpoint(checkpoint, PHOTOS, target, steps=2, batch=2)
    aligned = load_checkpoint(target)
    first, second = (prompt_features(each, MACLIP_PAIRS) for each in (checkpoint, aligned))
    assert first is not None
    assert second is not None
    torch.testing.assert_close(first, second)
    for pairs in (CLIPIQA_PAIRS, QUALICLIP_PAIRS):
        torch.testing.assert_close(prompt_features(aligned, pairs), prompt_features(checkpoint, pairs))
    assert aligned.architecture.embedding == checkpoint.architecture.embedding
    moved = [
        name
        for name, value in aligned.state.items()
        if name.startswith("visual.") and not torch.equal(value, checkpoint.state[name].float())
    ]
    assert any("layer4" in name for name in moved)
    assert not any("running_mean" in name for name in moved)


def test_the_built_in_model_can_be_aligned_further(tmp_path: Path) -> None:
    torch.manual_seed(0)
    settings = TimmTower("tf_efficientnet_lite0", 16)
    model = AlignedModel(pretrained_tower(settings, None), torch.randn(10, 16), 3.0, learn_prompts=False)
    first, target = tmp_path / "first.safetensors", tmp_path / "aligned.safetensors"
    write_model(model, settings, first, version="1", protocol="native", edges={}, notes={})
    align_checkpoint(load_checkpoint(first), PHOTOS, target, steps=1, batch=1)
    before, after = load_checkpoint(first), load_checkpoint(target)
    assert after.architecture == settings
    assert after.state.keys() == before.state.keys()
    name = "visual.trunk.conv_stem.weight"
    assert not torch.equal(before.state[name].float(), after.state[name])


def test_a_folder_of_tiny_photos_is_refused(seeded_path: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="248 pixels"):
        align_checkpoint(load_checkpoint(seeded_path), [np.zeros((100, 300, 3), np.uint8)], tmp_path / "x")


def test_a_batch_can_be_moved_to_a_device() -> None:
    ladders = ladder_batch(PHOTOS, 1, np.random.default_rng(0))
    moved = ladders.to("cpu")
    assert isinstance(moved, Ladders)
    assert torch.equal(moved.views, ladders.views)
