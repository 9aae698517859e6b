"""The towers of a CLIP in OpenAI's layout, with its weights in them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from maclip_daemon.errors import ModelUnavailable
from maclip_daemon.iqa.models.architecture import HEAD_WIDTH, Architecture
from maclip_daemon.iqa.towers.resnet_tower import ResNetTower


def build_visual_tower(architecture: Architecture, state: Mapping[str, Tensor], origin: str) -> nn.Module:
    """Return the image tower with its weights in fp32, for inference on views of 224 pixels.

    Raises `ModelUnavailable` when a weight is missing or has another shape.
    """
    weights = {key: value for key, value in state.items() if key.startswith("visual.")}
    if architecture.patch is not None:
        from maclip_daemon.iqa.models import transformers  # slow: it imports open_clip

        tower: nn.Module = transformers.vision_transformer(architecture, weights)
    else:
        with torch.device("meta"):  # every weight is replaced: none needs to be drawn first
            tower = ResNetTower(
                architecture.layers,
                architecture.width,
                architecture.embedding,
                heads=architecture.width * 32 // HEAD_WIDTH,
                grid=architecture.grid,
            )
    _fill(tower, weights, "visual.", origin)
    return tower


def build_text_tower(architecture: Architecture, state: Mapping[str, Tensor], origin: str) -> nn.Module:
    """Return the text tower with its weights in fp32. The architecture must have one.

    Raises `ModelUnavailable` when a weight is missing or has another shape.
    """
    from maclip_daemon.iqa.models import transformers  # slow: it imports open_clip

    tower: nn.Module = transformers.text_transformer(architecture)
    _fill(tower, state, "", origin)
    return tower


def _fill(tower: nn.Module, state: Mapping[str, Tensor], prefix: str, origin: str) -> None:
    """Load every weight of the tower, and no other. Raises `ModelUnavailable` for one that does not fit."""
    needed = tower.state_dict()
    weights = {}
    for name, place in needed.items():
        value = state.get(f"{prefix}{name}")
        if value is None and name.endswith("num_batches_tracked"):
            value = torch.zeros(())  # counts training steps; exports leave it out
        if value is None or value.shape != place.shape:
            found = "missing" if value is None else f"{tuple(value.shape)} instead of {tuple(place.shape)}"
            raise ModelUnavailable(f"{origin} is not a complete CLIP: {prefix}{name} is {found}.")
        weights[name] = value.to(place.dtype)
    tower.load_state_dict(weights, assign=True)
    tower.eval().requires_grad_(False)
