"""The encoder: normalised views → image features, on one device, in one precision.

The positional embedding of a ResNet's attention pool is off, as in MA-CLIP, CLIP-IQA and QualiCLIP: the tower
then takes photos of any size. Transformers keep theirs and take 224×224 only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from open_clip.modified_resnet import AttentionPool2d, ModifiedResNet
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from maclip_daemon.iqa.fused_convolutions import fuse
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

        `takes`: None is CLIP's normalisation, and any size for a ModifiedResNet only. `beginning`: first
        layers, run before the tower, on a processor view by view; they stay in fp32 whatever the precision.
        """
        takes = takes or ViewFormat(any_size=isinstance(tower, ModifiedResNet))
        self.device = torch.device(device)
        self.precision: Precision = precision
        self.normalisation = takes.normalisation
        self.any_size = takes.any_size
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


def fold_batch_norms(module: nn.Module) -> None:
    """Fold each batch norm into the convolution before it, in place: the same function, fewer steps.

    For the names of a ModifiedResNet: `convN` with `bnN`, and `downsample` with its entries `0` and `1`.
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


class MeanTokenPool(nn.Module):
    """OpenAI's attention pool without its positional embedding: the mean token's output alone.

    It is the same function, without keys, values or other tokens. open_clip computes a key, a value and an
    output for every token, but CLIP uses only the output for the mean token. Up to the softmax everything is
    linear: (W_k x + b_k)·q = x·(W_kᵀ q) + a constant that the softmax drops, and
    Σ w (W_v x + b_v) = W_v (Σ w x) + b_v. So two products with [2048, 2048] replace two for each token
    (50 in a view, 23 000 in a whole photo of 24 megapixels): 0.8 of 11.6 GFLOP a view.
    """

    def __init__(self, pool: AttentionPool2d) -> None:
        super().__init__()
        self.heads = pool.num_heads
        self.q_proj, self.c_proj = pool.q_proj, pool.c_proj
        key = pool.k_proj.weight.detach().unflatten(0, (self.heads, -1))  # [heads, C/heads, C]
        value = pool.v_proj.weight.detach().unflatten(0, (self.heads, -1)).transpose(1, 2)
        self.register_buffer("key", key.contiguous())
        self.register_buffer("value", value.contiguous())  # [heads, C, C/heads]
        self.register_buffer("value_bias", pool.v_proj.bias.detach())
        self.key: Tensor
        self.value: Tensor
        self.value_bias: Tensor

    def forward(self, activations: Tensor) -> Tensor:
        """Return the pooled features [N, D] of activations [N, C, h, w]."""
        tokens = activations.flatten(2).transpose(1, 2)  # [N, hw, C]
        mean = tokens.mean(dim=1, keepdim=True)
        tokens = torch.cat([mean, tokens], dim=1)
        query = self.q_proj(mean[:, 0]).unflatten(1, (self.heads, -1)).transpose(0, 1)  # [heads, N, C/heads]
        query = query * query.shape[-1] ** -0.5  # before the products: fp16 has little room
        directions = torch.bmm(query, self.key).transpose(0, 1)  # [N, heads, C]
        logits = torch.bmm(directions, tokens.transpose(1, 2))
        weights = logits.float().softmax(dim=-1).to(tokens.dtype)  # [N, heads, hw + 1]
        means = torch.bmm(weights, tokens).transpose(0, 1)  # [heads, N, C]
        pooled = torch.bmm(means, self.value).transpose(0, 1).flatten(1) + self.value_bias
        projected: Tensor = self.c_proj(pooled)
        return projected
