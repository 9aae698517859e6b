from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from maclip_daemon.errors import EnvironmentUnfit, ModelUnavailable
from maclip_daemon.iqa import metrics
from maclip_daemon.iqa.models import timm_tower
from maclip_daemon.iqa.models.catalogue import resolve_builtin
from maclip_daemon.iqa.models.checkpoints import load_checkpoint
from maclip_daemon.iqa.models.loading import load, prompt_features
from maclip_daemon.iqa.models.timm_tower import LITE0, TimmTower
from maclip_daemon.iqa.towers import lite_tower
from maclip_daemon.iqa.towers.lite_tower import LiteTower
from maclip_daemon.iqa.towers.local_tower import LocalTower
from maclip_daemon.training.aligned_model import AlignedModel, keep_depthwise_exact
from maclip_daemon.training.builtin_file import write_model
from maclip_daemon.training.opinions.opinion_tuning import order_loss, spread_targets
from maclip_daemon.training.pretrained_trunk import fold_norms, pretrained_tower

TOWER = TimmTower(LITE0, 16)
VIEWS = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def tower() -> LiteTower:
    torch.manual_seed(0)
    return LiteTower(TOWER.embed_dim).eval()


def test_folding_the_norms_does_not_change_the_features() -> None:
    import timm

    torch.manual_seed(0)
    trunk = timm.create_model("tf_efficientnet_lite0").eval()
    with torch.no_grad():
        for module in trunk.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
        before = trunk.forward_features(VIEWS)
        fold_norms(trunk)
        after = trunk.forward_features(VIEWS)
    torch.testing.assert_close(before, after, atol=1e-4, rtol=1e-4)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in trunk.modules())


@torch.inference_mode()
def test_the_two_halves_are_the_whole_tower(tower: LiteTower) -> None:
    lower, upper = lite_tower.halves(tower, 4)
    torch.testing.assert_close(upper(lower(VIEWS)), tower(VIEWS))
    joined = timm_tower.join(TOWER, lower, upper, 4)
    torch.testing.assert_close(joined(VIEWS), tower(VIEWS))


@torch.inference_mode()
def test_exact_depthwise_convolutions_change_nothing_but_the_precision(tower: LiteTower) -> None:
    before = tower(VIEWS)
    keep_depthwise_exact(tower)
    assert torch.equal(before, tower(VIEWS))
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(tower(VIEWS).float(), before, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("size", [(224, 224), (225, 224), (250, 331)])
@torch.inference_mode()
def test_a_loaded_tower_gives_the_same_features_for_every_size(
    tower: LiteTower, size: tuple[int, int]
) -> None:
    state = {f"visual.{name}": value for name, value in tower.state_dict().items()}
    loaded = timm_tower.load(TOWER, state, "x")
    views = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(loaded(views), tower(views), atol=1e-5, rtol=1e-4)


def test_a_written_model_loads_with_the_prompts_of_every_metric(tower: LiteTower, tmp_path: Path) -> None:
    model = AlignedModel(tower, torch.randn(10, 16), 3.0, learn_prompts=False)
    path = tmp_path / "builtin.safetensors"
    edges = {"maclip": [0.2, 0.4, 0.6, 0.8]}
    digest = write_model(model, TOWER, path, version="7", protocol="native", edges=edges, notes={})
    resolved = resolve_builtin(path)
    assert resolved.name == "builtin@7"
    assert resolved.edges == {"maclip": (0.2, 0.4, 0.6, 0.8)}
    assert json.loads(path.with_suffix(".json").read_text())["sha256"] == digest
    checkpoint = load_checkpoint(path)
    assert checkpoint.architecture == TOWER
    assert checkpoint.logit_scale == pytest.approx(3.0)
    for name in ("maclip", "clipiqa", "qualiclip"):
        assert prompt_features(checkpoint, metrics.parse(name).pairs) is not None
    good = prompt_features(checkpoint, metrics.maclip().pairs)
    assert good is not None
    torch.testing.assert_close(good[0], nn.functional.normalize(model.prompts[0], dim=0))


def test_a_written_model_keeps_the_local_tower_and_the_prompts_of_tiles(
    tower: LiteTower, tmp_path: Path
) -> None:
    model = AlignedModel(tower, torch.randn(10, 16), 3.0, learn_prompts=False)
    model.detail_prompts.data.copy_(torch.randn(10, 16))
    local = AlignedModel(LocalTower(16), torch.randn(10, 16), 3.0, learn_prompts=False)
    fusion = {"version": 2, "protocol": "detail-8", "metrics": {}}
    path = tmp_path / "builtin.safetensors"
    write_model(
        model, TOWER, path, version="7", protocol="detail-8", edges={}, notes={}, fusion=fusion, local=local
    )
    loaded = load(resolve_builtin(path), metrics.maclip(), tmp_path)
    assert loaded.local_encoder is not None
    with torch.no_grad():
        expected = local.visual(VIEWS)
    torch.testing.assert_close(loaded.local_encoder.encode(VIEWS), expected, atol=0.02, rtol=0.02)
    for written, learned in ((loaded.tile_prompts, model), (loaded.local_prompts, local)):
        assert written is not None
        expected = nn.functional.normalize(learned.detail_prompts[0].detach(), dim=0)
        torch.testing.assert_close(written[0], expected)


def test_weights_too_large_for_half_precision_are_refused(tower: LiteTower, tmp_path: Path) -> None:
    model = AlignedModel(nn.Sequential(nn.Linear(1, 1)), torch.randn(10, 16), 3.0, learn_prompts=False)
    model.visual[0].weight.data.fill_(1e6)
    with pytest.raises(ValueError, match=r"visual\.0\.weight"):
        write_model(model, TOWER, tmp_path / "x", version="1", protocol="native", edges={}, notes={})


def test_a_tower_description_that_is_garbled_is_refused() -> None:
    assert timm_tower.describe({}, "x") is None
    unknown = TimmTower("tf_efficientnet_b0", 16).as_json()
    widths = ("0", "-16", "16.0", "true", "Infinity", "1e400", "null", str(10**18))
    strange = [TimmTower(LITE0, 16).as_json().replace("16", width) for width in widths]
    for garbled in ("{", '{"embed_dim": 3}', '"text"', unknown, *strange):
        with pytest.raises(ModelUnavailable, match="no tower"):
            timm_tower.describe({timm_tower.METADATA_KEY: garbled}, "x")


def test_a_tower_with_a_missing_weight_is_refused(tower: LiteTower) -> None:
    state = {f"visual.{name}": value for name, value in tower.state_dict().items()}
    del state["visual.head.mlp.fc1.weight"]
    with pytest.raises(ModelUnavailable, match="not a complete model"):
        timm_tower.load(TOWER, state, "half.safetensors")


def test_a_wrong_file_of_first_weights_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "efficientnet-lite0-57934424.pth"
    wrong.write_bytes(b"something else")
    with pytest.raises(EnvironmentUnfit, match="SHA-256"):
        pretrained_tower(TOWER, wrong)


def test_targets_keep_the_order_of_opinions_and_spread_crowded_ones() -> None:
    opinions = np.array([0.1, 0.80, 0.81, 0.82, 0.82, 0.9])
    targets = spread_targets(opinions, np.ones(6))
    assert np.array_equal(np.argsort(targets, kind="stable"), np.argsort(opinions, kind="stable"))
    assert targets[3] == targets[4]
    assert targets[2] - targets[1] > 0.05
    assert targets.min() > 0.1
    assert targets.max() < 0.95


def test_the_order_loss_is_smaller_for_the_right_order() -> None:
    target = torch.tensor([0.1, 0.5, 0.9])
    assert order_loss(target, target) < order_loss(-target, target)
