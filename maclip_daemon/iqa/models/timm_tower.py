"""The built-in model's image tower in a checkpoint: an extension of OpenAI's layout.

A safetensors checkpoint whose metadata has the key `timm_tower` holds, under `visual.`, the weights of
open_clip's `TimmModel` (its `timm_*` settings), with every batch norm already folded into the convolution
before it. The metadata value is `TimmTower` as JSON. Everything else of the layout stays: `logit_scale`,
`prompts_features`, CLIP's normalisation of the pixels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from maclip_daemon.errors import ModelUnavailable
from maclip_daemon.iqa.towers import lite_tower
from maclip_daemon.iqa.towers.lite_tower import LiteTower

METADATA_KEY = "timm_tower"
LITE0 = "tf_efficientnet_lite0"
_MOST_DIMENSIONS = 65_536  # of a feature; a thousand is usual


@dataclass(frozen=True)
class TimmTower:
    """The settings of a tower, under the names of open_clip's vision settings."""

    timm_model_name: str
    embed_dim: int
    timm_pool: str = "avg"
    timm_proj: str = "mlp"

    def as_json(self) -> str:
        """Return the value of the metadata key."""
        return json.dumps(asdict(self))


def describe(metadata: Mapping[str, str], origin: str) -> TimmTower | None:
    """Return the tower that the metadata describe, if any. Raises `ModelUnavailable` if they are garbled."""
    if METADATA_KEY not in metadata:
        return None
    try:
        tower = TimmTower(**json.loads(metadata[METADATA_KEY]))
        is_known = tower == TimmTower(LITE0, tower.embed_dim) and _is_a_width(tower.embed_dim)
    except (ValueError, TypeError, RecursionError):
        is_known = False
    if not is_known:
        raise ModelUnavailable(
            f"The metadata of {origin} describe no tower that this version knows. Fetch the file again."
        )
    return tower


def _is_a_width(found: object) -> bool:
    return type(found) is int and 0 < found <= _MOST_DIMENSIONS


def load(tower: TimmTower, state: Mapping[str, Tensor], origin: str, *, trainable: bool = False) -> LiteTower:
    """Return the tower with the weights under `visual.` in `state`, fast for inference or trainable.

    Raises `ModelUnavailable` when a weight is missing or has another shape.
    """
    with torch.device("meta"):  # every weight is replaced: none needs to be drawn first
        model = LiteTower(tower.embed_dim)
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
    lite_tower.avoid_padding_copies(model)
    return model.eval().requires_grad_(False)


def join(tower: TimmTower, lower: nn.Module, upper: nn.Module, blocks: int) -> LiteTower:
    """Return a whole tower with the weights of two halves that were cut after this many stages."""
    model = LiteTower(tower.embed_dim)
    for half, trained in zip(lite_tower.halves(model, blocks), (lower, upper), strict=True):
        half.load_state_dict(trained.state_dict())
    return model.eval()
