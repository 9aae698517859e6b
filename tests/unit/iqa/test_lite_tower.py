"""The built-in model's tower as own modules is open_clip's `TimmModel` with timm's EfficientNet-Lite0."""

from __future__ import annotations

import pytest
import torch
from open_clip.timm_model import TimmModel
from torch import nn

from maclip_daemon.iqa.models.timm_tower import LITE0
from maclip_daemon.iqa.towers import lite_tower
from maclip_daemon.iqa.towers.lite_tower import LiteTower
from maclip_daemon.training.pretrained_trunk import fold_norms

EMBEDDING = 16


@pytest.fixture(scope="module")
def published() -> TimmModel:
    torch.manual_seed(0)
    tower = TimmModel(LITE0, EMBEDDING, pool="avg", proj="mlp", proj_bias=True).eval()
    with torch.no_grad():
        for module in tower.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_var, 0.5, 2.0)
                nn.init.normal_(module.running_mean, std=0.1)
    fold_norms(tower.trunk)
    return tower


def own(published: TimmModel) -> LiteTower:
    tower = LiteTower(EMBEDDING)
    tower.load_state_dict(published.state_dict())
    return tower.eval()


@pytest.mark.parametrize("size", [(224, 224), (225, 224), (250, 331), (64, 47)])
@pytest.mark.parametrize("is_fast", [False, True])
@torch.inference_mode()
def test_the_features_are_timms_for_every_size(
    published: TimmModel, size: tuple[int, int], is_fast: bool
) -> None:
    tower = own(published)
    if is_fast:
        lite_tower.avoid_padding_copies(tower)
    views = torch.randn(2, 3, *size)
    torch.testing.assert_close(tower(views), published(views), rtol=1e-4, atol=1e-6)


@torch.inference_mode()
def test_the_halves_of_a_tower_are_the_tower(published: TimmModel) -> None:
    tower = own(published)
    views = torch.randn(2, 3, 224, 224)
    for blocks in (0, 2, 4, 7):
        lower, upper = lite_tower.halves(tower, blocks)
        assert torch.equal(upper(lower(views)), tower(views))
