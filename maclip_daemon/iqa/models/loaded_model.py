"""A model in memory."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from maclip_daemon.iqa.encoder import Encoder
from maclip_daemon.iqa.fusion import Fusion


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory with the prompt features of one metric."""

    encoder: Encoder
    prompts: Tensor | None
    """[2P, D] of length one, for the metric's pairs; None when it has none."""
    logit_scale: float
    """CLIP's, before exp."""
    tile_prompts: Tensor | None = None
    """As `prompts`, for tiles; None: the same."""
    local_encoder: Encoder | None = None
    """A second, small one that judges tiles too; None: the model has none."""
    local_prompts: Tensor | None = None
    """As `prompts`, for `local_encoder`."""
    fusion: Fusion | None = None
