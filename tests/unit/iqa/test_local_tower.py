"""The local tower: loaded from its checkpoint, a second judge of tiles and of nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from maclip_daemon.errors import ModelUnavailable
from maclip_daemon.iqa import metrics
from maclip_daemon.iqa.models import timm_tower
from maclip_daemon.iqa.models.catalogue import ResolvedModel
from maclip_daemon.iqa.models.loaded_model import LoadedModel
from maclip_daemon.iqa.models.loading import load
from maclip_daemon.iqa.models.timm_tower import TimmTower
from maclip_daemon.iqa.photo_judgement import judge
from maclip_daemon.iqa.photo_pixels import PhotoPixels
from maclip_daemon.iqa.prompts import MACLIP_PAIRS, texts
from maclip_daemon.iqa.protocols import parse
from maclip_daemon.iqa.towers import local_tower
from maclip_daemon.iqa.towers.lite_tower import LiteTower
from maclip_daemon.iqa.towers.local_tower import LocalTower
from maclip_daemon.iqa.views import normalise
from maclip_daemon.scoring.batch_size import BatchSize
from maclip_daemon.scoring.engine import Engine

EMBEDDING = 16
METRIC = metrics.maclip()
DETAIL = parse("detail-8")
LINE = {"mean": [0.0, 0.0], "std": [1.0, 1.0], "layers": [{"weight": [[0.5, 0.5]], "bias": [0.0]}]}
NETWORKS = {
    "detail": {"inputs": ["tile_mean", "local_mean"], **LINE},
    "score": {"inputs": ["overall", "detail"], **LINE},
}
FUSION = json.dumps({"version": 2, "protocol": "detail-8", "metrics": {"maclip": NETWORKS}})


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    visual = LiteTower(EMBEDDING).state_dict()
    tiles = LocalTower(EMBEDDING).state_dict()
    return {
        **{f"visual.{name}": value for name, value in visual.items()},
        **{f"local_visual.{name}": value for name, value in tiles.items()},
        "prompts_features": torch.randn(10, EMBEDDING),
        "detail_prompts_features": torch.randn(10, EMBEDDING),
        "local_prompts_features": torch.randn(10, EMBEDDING),
    }


def loaded(state: dict[str, torch.Tensor], folder: Path, fusion: str | None = None) -> LoadedModel:
    path = folder / "m.safetensors"
    settings = TimmTower("tf_efficientnet_lite0", EMBEDDING).as_json()
    named = json.dumps(list(texts(MACLIP_PAIRS)))
    fused = {} if fusion is None else {"fusion": fusion}
    save_file(state, path, {timm_tower.METADATA_KEY: settings, "prompts": named, **fused})
    return load(ResolvedModel("m", "native", path), METRIC, folder)


def photo(seed: int, tiles: int = 8) -> PhotoPixels:
    generator = np.random.RandomState(seed)
    drawn = generator.randint(0, 256, (tiles, 224, 224, 3)).astype(np.uint8)
    picture = generator.randint(0, 256, (300, 360, 3)).astype(np.uint8)
    return PhotoPixels(picture, drawn if tiles else None)


def without_local(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in state.items() if not name.startswith("local_")}


def test_tiles_go_through_both_towers_and_other_views_through_one(
    state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    own, shared = loaded(state, tmp_path, FUSION), loaded(without_local(state), tmp_path)
    assert shared.local_encoder is None
    twice, once = (Engine(model, METRIC, protocol=DETAIL).score([photo(1)])[0] for model in (own, shared))
    assert twice.view_scores == pytest.approx(once.view_scores, abs=1e-6)
    assert own.local_encoder is not None
    features = own.local_encoder.encode(normalise(torch.from_numpy(photo(1).tiles)))
    local = judge(METRIC, features, own.local_prompts, own.logit_scale).score
    assert twice.detail == pytest.approx(0.5 * once.detail + 0.5 * local, abs=1e-6)
    assert twice.score == pytest.approx(0.5 * once.overall + 0.5 * twice.detail, abs=1e-6)
    plain = Engine(own, METRIC, protocol=DETAIL).score([PhotoPixels(photo(1).picture)])[0]
    assert plain.score == pytest.approx(twice.overall, abs=1e-6)


@pytest.mark.parametrize("views", [1, 3, 40])
def test_scores_do_not_depend_on_the_batches(
    state: dict[str, torch.Tensor], tmp_path: Path, views: int
) -> None:
    model = loaded(state, tmp_path, FUSION)
    photos = [photo(1), photo(2, tiles=0), photo(3, tiles=2)]
    together = Engine(model, METRIC, protocol=DETAIL, batch=BatchSize(views)).score(photos)
    for each, found in zip(photos, together, strict=True):
        alone = Engine(model, METRIC, protocol=DETAIL, batch=BatchSize(40)).score([each])[0]
        assert found.view_scores == pytest.approx(alone.view_scores, abs=1e-5)
        assert found.score == pytest.approx(alone.score, abs=1e-5)


def test_the_gate_chooses_the_places_that_count() -> None:
    tower = LocalTower(EMBEDDING)
    patterned, generator = torch.zeros(1, 3, 224, 224), torch.Generator().manual_seed(0)
    patterned[..., 64:160, 64:160] = torch.randn(3, 96, 96, generator=generator)
    flat = torch.zeros(1, 3, 224, 224)
    with torch.no_grad():
        for part in (tower.projection.weight[:, :], tower.hidden.weight[:, 64:]):
            part.abs_()
        tower.hidden.weight[:, 64:] = 0  # only the gated means are left

        def apart(strength: float) -> float:
            tower.gate.weight.fill_(strength)
            return float((tower(patterned) - tower(flat)).norm())

        assert apart(20.0) > 1.5 * apart(0.0)


def test_a_local_tower_with_a_missing_weight_is_refused(state: dict[str, torch.Tensor]) -> None:
    broken = {name: value for name, value in state.items() if name != "local_visual.gate.weight"}
    with pytest.raises(ModelUnavailable, match="not a complete model"):
        local_tower.load(broken, EMBEDDING, "half.safetensors")
    with pytest.raises(ModelUnavailable, match="not a complete model"):
        local_tower.load(state, EMBEDDING + 1, "other.safetensors")
    assert local_tower.load({}, EMBEDDING, "none") is None
