"""The encoder: normalised views → image features, on one device, in one precision.

The positional embedding of the attention pool is off, as in MA-CLIP, CLIP-IQA and QualiCLIP: the tower then
takes photos of any size. Transformers keep theirs and take 224×224 only.
"""

from __future__ import annotations

from typing import Literal

import torch
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from maclip_daemon.iqa.attention_pool import MeanTokenPool
from maclip_daemon.iqa.fused_convolutions import fuse
from maclip_daemon.iqa.protocols import VIEW_SIZE
from maclip_daemon.iqa.views import CLIP_NORMALISATION, Normalisation

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Encoder:
    """One image tower on one device. Takes the tower over and changes it."""

    def __init__(
        self,
        tower: nn.Module,
        *,
        device: torch.device | str = "cpu",
        precision: Precision = "fp32",
        normalisation: Normalisation = CLIP_NORMALISATION,
        any_size: bool | None = None,
        beginning: nn.Module | None = None,
    ) -> None:
        """`any_size`: whether the tower takes photos of any size; None: only if it is a ModifiedResNet.

        `beginning`: first layers that come before the tower and stay in fp32 whatever the precision.
        """
        self.device = torch.device(device)
        self.precision: Precision = precision
        self.normalisation = normalisation
        self.any_size = isinstance(tower, ModifiedResNet) if any_size is None else any_size
        """Whether whole photos of any size fit; False: 224×224 only."""
        tower.eval().requires_grad_(False)
        if isinstance(tower, ModifiedResNet):
            tower.attnpool = MeanTokenPool(tower.attnpool)
            fold_batch_norms(tower)
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
        """Features [N, D], fp32 on the CPU, of normalised views [N, 3, h, w]."""
        batch = views.to(device=self.device)
        if self._beginning is not None:
            batch = self._beginning(batch.float().contiguous(memory_format=torch.channels_last))
        batch = batch.to(dtype=DTYPES[self.precision], memory_format=torch.channels_last)
        features: Tensor = self._tower(batch)
        return features.float().cpu()


def fold_batch_norms(module: nn.Module) -> None:
    """Fold each batch norm into the convolution before it, in place: the same function, fewer steps.

    Knows the names of a ModifiedResNet: `convN` with `bnN`, and `downsample` with its entries `0` and `1`.
    """
    for name, child in list(module.named_children()):
        number = name.removeprefix("conv")
        norm_name = "1" if name == "0" else f"bn{number}"
        norm = getattr(module, norm_name, None)
        if isinstance(child, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(child, norm))
            setattr(module, norm_name, nn.Identity())
        else:
            fold_batch_norms(child)
