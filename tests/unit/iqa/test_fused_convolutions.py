"""The fused tower is the same function as the plain one, and no tower is fused where that does not hold."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from maclip_daemon.iqa import fused_convolutions
from maclip_daemon.iqa.encoder import Encoder, Precision, ViewFormat
from maclip_daemon.iqa.fused_convolutions import FusedBottleneck, FusedConvolution
from maclip_daemon.iqa.models.building import build_visual_tower
from maclip_daemon.iqa.models.checkpoints import Checkpoint, load_checkpoint
from maclip_daemon.iqa.models.seeded_checkpoint import write_seeded_checkpoint
from maclip_daemon.iqa.towers.local_tower import LocalTower
from maclip_daemon.iqa.towers.resnet_tower import ResNetTower

needs_operators = pytest.mark.skipif(
    not fused_convolutions.is_available(torch.float32), reason="this PyTorch has no oneDNN on this processor"
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    path = write_seeded_checkpoint(tmp_path_factory.mktemp("models") / "seeded.safetensors")
    return load_checkpoint(path)


def resnet(checkpoint: Checkpoint) -> ResNetTower:
    tower = build_visual_tower(checkpoint.architecture, checkpoint.state, checkpoint.origin)
    assert isinstance(tower, ResNetTower)
    return tower


def views(*size: int) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(1))


def unfused(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, precision: str = "fp32") -> Encoder:
    with monkeypatch.context() as patch:
        patch.setattr(fused_convolutions, "is_available", lambda dtype: False)
        return Encoder(resnet(checkpoint), precision=precision)  # type: ignore[arg-type]


@needs_operators
@pytest.mark.parametrize("size", [(1, 3, 224, 224), (7, 3, 224, 224), (2, 3, 301, 257)])
def test_a_fused_tower_gives_the_features_of_the_plain_one(
    size: tuple[int, ...], checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = views(*size)
    fused = Encoder(resnet(checkpoint))
    kinds = {type(module) for module in fused._tower.modules()}
    assert FusedBottleneck in kinds
    assert nn.Conv2d not in kinds
    plain = unfused(checkpoint, monkeypatch)
    assert nn.Conv2d in {type(module) for module in plain._tower.modules()}
    torch.testing.assert_close(fused.encode(given), plain.encode(given), rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(
    not fused_convolutions.is_available(torch.bfloat16), reason="this processor has no bf16 convolutions"
)
def test_in_bf16_the_fused_tower_is_at_least_as_close_to_fp32_as_the_plain_one(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = views(8, 3, 224, 224)
    exact = unfused(checkpoint, monkeypatch).encode(given)
    plain = (unfused(checkpoint, monkeypatch, "bf16").encode(given) - exact).norm()
    fused = (Encoder(resnet(checkpoint), precision="bf16").encode(given) - exact).norm()
    assert fused < 1.2 * plain


@needs_operators
def test_views_are_not_changed_by_encoding_them(checkpoint: Checkpoint) -> None:
    given = views(2, 3, 224, 224).contiguous(memory_format=torch.channels_last)
    before = given.clone()
    Encoder(resnet(checkpoint)).encode(given)
    assert torch.equal(given, before)


@needs_operators
def test_the_built_in_tower_is_fused_but_for_its_strided_convolutions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from maclip_daemon.iqa import metrics
    from maclip_daemon.iqa.models import catalogue, loading

    def built_in() -> Encoder:
        return loading.load(catalogue.resolve("builtin", Path()), metrics.maclip(), Path()).encoder

    fused = built_in()
    assert fused._beginning is not None
    modules = [*fused._beginning.modules(), *fused._tower.modules()]
    assert sum(isinstance(module, FusedConvolution) for module in modules) > 40
    with monkeypatch.context() as patch:
        patch.setattr(fused_convolutions, "is_available", lambda dtype: False)
        plain = built_in()
    given = views(2, 3, 224, 224)
    torch.testing.assert_close(fused.encode(given), plain.encode(given), rtol=1e-4, atol=1e-5)


@needs_operators
def test_the_local_tower_is_fused() -> None:
    tower = LocalTower(16)
    given = views(3, 3, 224, 224)
    with torch.no_grad():
        plain = tower(given)
    fused = Encoder(tower)
    assert sum(isinstance(module, FusedConvolution) for module in fused._tower.modules()) == 5
    torch.testing.assert_close(fused.encode(given), plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_view_has_the_same_features_alone_and_among_others(precision: Precision) -> None:
    from maclip_daemon.iqa import metrics
    from maclip_daemon.iqa.models import catalogue, loading

    model = loading.load(catalogue.resolve("builtin", Path()), metrics.maclip(), Path(), precision=precision)
    given = views(3, 3, 224, 224)
    together, alone = model.encoder.encode(given), model.encoder.encode(given[1:2])
    tolerance = (1e-5 if precision == "fp32" else 0.02) * float(alone.abs().max())
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=tolerance)


@needs_operators
def test_operators_that_mean_something_else_are_not_used(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(self: FusedConvolution, values: Tensor) -> Tensor:
        return values * 1.01

    fused_convolutions.is_available.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(FusedConvolution, "forward", other)
        assert not fused_convolutions.is_available(torch.float32)
        assert nn.Conv2d in {type(module) for module in Encoder(resnet(checkpoint))._tower.modules()}
    fused_convolutions.is_available.cache_clear()


def test_a_tower_whose_batch_norms_are_not_folded_stays_as_it_is(checkpoint: Checkpoint) -> None:
    tower = resnet(checkpoint).eval()
    given = views(1, 3, 224, 224)
    with torch.no_grad():
        before = tower(given)
        fused_convolutions.fuse(tower, given)
        assert torch.equal(tower(given), before)


def test_the_built_in_models_exact_beginning_lessens_what_bf16_does_to_its_features() -> None:
    from maclip_daemon.iqa import metrics
    from maclip_daemon.iqa.models import catalogue, loading, timm_tower
    from maclip_daemon.iqa.models.timm_tower import TimmTower

    resolved = catalogue.resolve("builtin", Path())
    assert resolved.path is not None
    stored = load_checkpoint(resolved.path)
    assert isinstance(stored.architecture, TimmTower)
    tower = timm_tower.load(stored.architecture, stored.state, stored.origin)
    rounded_throughout = Encoder(tower, precision="bf16", takes=ViewFormat(any_size=True))
    smooth = nn.functional.interpolate(views(4, 3, 14, 14), (224, 224), mode="bicubic")
    given = smooth + 0.2 * views(4, 3, 224, 224)
    exact = loading.load(resolved, metrics.maclip(), Path()).encoder.encode(given)
    kept = loading.load(resolved, metrics.maclip(), Path(), precision="bf16").encoder.encode(given)
    moved = (kept - exact).norm() / (rounded_throughout.encode(given) - exact).norm()
    assert moved < 0.8
