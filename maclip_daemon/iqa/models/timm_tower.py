"""Image towers that timm builds: an extension of OpenAI's checkpoint layout for the built-in model.

A safetensors checkpoint whose metadata has the key `timm_tower` holds, under `visual.`, the weights of
open_clip's `TimmModel` (its `timm_*` settings), with every batch norm already folded into the convolution
before it. The metadata value is `TimmTower` as JSON. Everything else of the layout stays: `logit_scale`,
`prompts_features`, CLIP's normalisation of the pixels.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import timm
import torch
from open_clip.timm_model import TimmModel
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn

from maclip_daemon.errors import ModelUnavailable

METADATA_KEY = "timm_tower"


@dataclass(frozen=True)
class TimmTower:
    """The settings of a tower, under the names of open_clip's vision settings."""

    timm_model_name: str
    embed_dim: int
    timm_pool: Literal["avg"] = "avg"
    timm_proj: Literal["linear", "mlp"] = "mlp"

    def as_json(self) -> str:
        """Return the value of the metadata key."""
        return json.dumps(asdict(self))


def describe(metadata: Mapping[str, str], origin: str) -> TimmTower | None:
    """Return the tower that the metadata describe, if any. Raises `ModelUnavailable` if they are garbled."""
    if METADATA_KEY not in metadata:
        return None
    try:
        tower = TimmTower(**json.loads(metadata[METADATA_KEY]))
        # Not what timm would fetch from a hub, and none of another family: `halves` and `fold_norms` fit one.
        is_known = tower.timm_model_name in timm.list_models("*efficientnet*")
    except (ValueError, TypeError, RecursionError):
        is_known = False
    if not is_known:
        raise ModelUnavailable(
            f"The metadata of {origin} describe no tower that this version knows. Fetch the file again."
        )
    return tower


def build(tower: TimmTower) -> TimmModel:
    """Return the tower with random weights and without batch norms, in fp32."""
    model = TimmModel(
        tower.timm_model_name, tower.embed_dim, pool=tower.timm_pool, proj=tower.timm_proj, proj_bias=True
    )
    fold_norms(model.trunk)
    return model


def load(tower: TimmTower, state: Mapping[str, Tensor], origin: str, *, trainable: bool = False) -> TimmModel:
    """Return the tower with the weights under `visual.` in `state`, fast for inference or trainable.

    Raises `ModelUnavailable` when a weight is missing or has another shape.
    """
    with torch.device("meta"):  # every weight is replaced: none needs to be drawn first
        model = build(tower)
    weights = {
        name.removeprefix("visual."): value.float()
        for name, value in state.items()
        if name.startswith("visual.")
    }
    try:
        model.load_state_dict(weights, assign=True)
    except RuntimeError:
        raise ModelUnavailable(
            f"{origin} is not a complete model of its kind: weights are missing, or have other sizes."
        ) from None
    if trainable:
        return model
    avoid_padding_copies(model)
    return model.eval().requires_grad_(False)


class _EvenSame(nn.Module):
    """A strided convolution with TensorFlow's padding, without a padded copy of its input.

    For even sides that padding is one pixel longer at the right and bottom. A kernel with an empty first row
    and column, and equal padding all around, computes exactly the same.
    """

    def __init__(self, exact: Conv2dSame) -> None:
        super().__init__()
        self.exact = exact
        self.padding = exact.kernel_size[0] // 2
        self.register_buffer("kernel", nn.functional.pad(exact.weight, (1, 0, 1, 0)))
        self.kernel: Tensor

    def forward(self, values: Tensor) -> Tensor:
        if values.shape[-2] % 2 or values.shape[-1] % 2:
            padded: Tensor = self.exact(values)
            return padded
        return nn.functional.conv2d(
            values, self.kernel, self.exact.bias, 2, self.padding, 1, self.exact.groups
        )


def avoid_padding_copies(model: nn.Module) -> None:
    """Replace depthwise convolutions, in place: their padded copies take a sixth of the time of a view."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Conv2dSame) and child.stride == (2, 2) and child.groups > 1:
                setattr(parent, name, _EvenSame(child))


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


def halves(model: TimmModel, blocks: int) -> tuple[nn.Sequential, nn.Sequential]:
    """Return the tower cut in two after this many of the trunk's blocks; run in order they are the tower.

    The modules are the tower's own, not copies. For convolutional trunks of timm's EfficientNet family.
    """
    trunk = model.trunk
    lower = nn.Sequential(trunk.conv_stem, trunk.bn1, *trunk.blocks[:blocks])
    upper = OrderedDict[str, nn.Module](
        (f"block{number}", block) for number, block in enumerate(trunk.blocks)
    )
    for number in range(blocks):
        del upper[f"block{number}"]
    upper |= {"last": trunk.conv_head, "activation": trunk.bn2, "pool": trunk.global_pool, "head": model.head}
    return lower, nn.Sequential(upper)


def join(tower: TimmTower, lower: nn.Module, upper: nn.Module, blocks: int) -> TimmModel:
    """Return a whole tower with the weights of two halves that were cut after this many blocks."""
    model = build(tower)
    for half, trained in zip(halves(model, blocks), (lower, upper), strict=True):
        half.load_state_dict(trained.state_dict())
    return model.eval()
