"""The encoder: normalised views → image features, on one device, in one precision.

The positional embedding of a ResNet's attention pool is off, as in MA-CLIP, CLIP-IQA and QualiCLIP: the tower
then takes photos of any size. Transformers keep theirs and take 224×224 only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from maclip_daemon.iqa.fused_convolutions import fuse
from maclip_daemon.iqa.towers.resnet_tower import ResNetTower
from maclip_daemon.iqa.view_size import VIEW_SIZE
from maclip_daemon.iqa.views import CLIP_NORMALISATION, Normalisation

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class ViewFormat:
    """The views that an image tower takes."""

    normalisation: Normalisation = CLIP_NORMALISATION
    any_size: bool = False
    """Whether whole photos of any size fit; False: 224×224 only."""


class Encoder:
    """One image tower on one device, in one precision."""

    def __init__(
        self,
        tower: nn.Module,
        *,
        device: torch.device | str = "cpu",
        precision: Precision = "fp32",
        takes: ViewFormat | None = None,
        beginning: nn.Module | None = None,
    ) -> None:
        """Change the tower in place for fast inference, and move it to the device.

        `takes`: None is CLIP's normalisation, and any size for a ResNet only. `beginning`: first
        layers, run before the tower, on a processor view by view; they stay in fp32 whatever the precision.
        """
        takes = takes or ViewFormat(any_size=isinstance(tower, ResNetTower))
        self.device = torch.device(device)
        self.precision: Precision = precision
        self.normalisation = takes.normalisation
        self.any_size = takes.any_size
        """Whether whole photos of any size fit; False: 224×224 only."""
        tower.eval().requires_grad_(False)
        if isinstance(tower, ResNetTower):
            tower.prepare_inference()
        tower.to(device=self.device, dtype=DTYPES[precision])
        self._tower = tower.to(memory_format=torch.channels_last)
        self._beginning = beginning
        if beginning is not None:
            beginning.eval().requires_grad_(False)
            beginning.to(device=self.device).to(memory_format=torch.channels_last)
        if self.device.type == "cpu":
            example = torch.zeros(1, 3, VIEW_SIZE, VIEW_SIZE)
            if beginning is not None:
                fuse(beginning, example)
                with torch.no_grad():
                    example = beginning(example)
            fuse(self._tower, example.to(DTYPES[precision]))

    @torch.inference_mode()
    def encode(self, views: Tensor) -> Tensor:
        """Return features [N, D], fp32 on the CPU, of normalised views [N, 3, h, w]."""
        batch = views.to(device=self.device)
        if self._beginning is not None:
            batch = self._begun(batch.float().contiguous(memory_format=torch.channels_last))
        batch = batch.to(dtype=DTYPES[self.precision], memory_format=torch.channels_last)
        features: Tensor = self._tower(batch)
        return features.float().cpu()

    def _begun(self, views: Tensor) -> Tensor:
        """Return what the first layers make of the views, in the precision of the others."""
        assert self._beginning is not None
        # Their activations are the largest: those of one view stay in the processor's cache.
        views_a_part = 1 if self.device.type == "cpu" else len(views)
        parts = [views[start : start + views_a_part] for start in range(0, len(views), views_a_part)]
        begun = [self._beginning(part).to(DTYPES[self.precision]) for part in parts]
        return torch.cat(begun) if len(begun) > 1 else begun[0]
