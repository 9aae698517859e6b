"""OpenAI's ResNet (arXiv 2103.00020, section 2.4): three convolutions first, pools in place of strides,
attention at the end. The names of the weights are those of OpenAI's checkpoints under `visual.`.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_WIDENING = 4  # outputs of a bottleneck for each of its inner channels


class Bottleneck(nn.Module):
    """A residual block, [N, C, h, w] → [N, 4 width, h / stride, w / stride]."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = _WIDENING * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.act1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.act2 = nn.ReLU(inplace=True)
        self.avgpool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.act3 = nn.ReLU(inplace=True)
        self.downsample: nn.Sequential | None = None
        if stride > 1 or inputs != outputs:
            parts: list[tuple[str, nn.Module]] = [
                ("-1", nn.AvgPool2d(stride)),
                ("0", nn.Conv2d(inputs, outputs, 1, bias=False)),
                ("1", nn.BatchNorm2d(outputs)),
            ]
            self.downsample = nn.Sequential(OrderedDict(parts))

    def forward(self, values: Tensor) -> Tensor:
        """Return the activations behind the block."""
        inner = self.act1(self.bn1(self.conv1(values)))
        inner = self.avgpool(self.act2(self.bn2(self.conv2(inner))))
        inner = self.bn3(self.conv3(inner))
        shortcut = values if self.downsample is None else self.downsample(values)
        summed: Tensor = self.act3(inner + shortcut)
        return summed


class AttentionPool(nn.Module):
    """OpenAI's attention pool: the output for the mean of all places. [N, C, h, w] → [N, D].

    Without its positional embedding, which is off in MA-CLIP, CLIP-IQA and QualiCLIP.
    """

    def __init__(self, grid: int, width: int, heads: int, embedding: int) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.zeros(grid**2 + 1, width))
        self.k_proj, self.q_proj, self.v_proj = (nn.Linear(width, width) for _ in range(3))
        self.c_proj = nn.Linear(width, embedding)
        self.heads = heads

    def forward(self, activations: Tensor) -> Tensor:
        """Return the pooled features [N, D] of activations [N, C, h, w]."""
        features: Tensor = MeanTokenPool(self)(activations)
        return features


class MeanTokenPool(nn.Module):
    """OpenAI's attention pool without its positional embedding: the mean token's output alone.

    It is the same function, without keys, values or other tokens. The published code computes a key, a value
    and an output for every token, but CLIP uses only the output for the mean token. Up to the softmax
    everything is linear: (W_k x + b_k)·q = x·(W_kᵀ q) + a constant that the softmax drops, and
    Σ w (W_v x + b_v) = W_v (Σ w x) + b_v. So two products with [2048, 2048] replace two for each token
    (50 in a view, 23 000 in a whole photo of 24 megapixels): 0.8 of 11.6 GFLOP a view.
    """

    def __init__(self, pool: AttentionPool) -> None:
        """Share the weights of a pool; gradients reach them."""
        super().__init__()
        self.heads = pool.heads
        self.q_proj, self.c_proj = pool.q_proj, pool.c_proj
        key = torch.unflatten(pool.k_proj.weight, 0, (self.heads, -1))  # [heads, C/heads, C]
        value = torch.unflatten(pool.v_proj.weight, 0, (self.heads, -1)).transpose(1, 2)
        self.register_buffer("key", key.contiguous())
        self.register_buffer("value", value.contiguous())  # [heads, C, C/heads]
        self.register_buffer("value_bias", pool.v_proj.bias)
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


class ResNetTower(nn.Module):
    """Normalised views [N, 3, h, w] of any size → features [N, D]."""

    followers: ClassVar = (("conv1", "act1"), ("conv2", "act2"), ("conv3", "act3"))
    """Convolutions and the activations right after them (`iqa.fused_convolutions`)."""

    def __init__(self, blocks: tuple[int, ...], width: int, embedding: int, heads: int, grid: int) -> None:
        """`blocks`: of each stage. `width`: channels of the first. `grid`: of the positional embedding."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.act1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.act2 = nn.ReLU(inplace=True)
        self.conv3 = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.act3 = nn.ReLU(inplace=True)
        self.avgpool = nn.AvgPool2d(2)
        inputs = width
        for number, count in enumerate(blocks):
            inner, stride = width * 2**number, 1 if number == 0 else 2
            stage = [Bottleneck(inputs, inner, stride)]
            inputs = _WIDENING * inner
            stage += [Bottleneck(inputs, inner, 1) for _ in range(count - 1)]
            self.add_module(f"layer{number + 1}", nn.Sequential(*stage))
        self.attnpool: nn.Module = AttentionPool(grid, inputs, heads, embedding)

    def forward(self, views: Tensor) -> Tensor:
        """Return features [N, D] of normalised views [N, 3, h, w]."""
        values = self.act1(self.bn1(self.conv1(views)))
        values = self.act2(self.bn2(self.conv2(values)))
        values = self.avgpool(self.act3(self.bn3(self.conv3(values))))
        for number in range(1, 5):
            values = self.get_submodule(f"layer{number}")(values)
        features: Tensor = self.attnpool(values)
        return features

    def prepare_inference(self) -> None:
        """Change a tower in place that is in eval mode and learns no more: the same function, fewer steps."""
        if isinstance(self.attnpool, AttentionPool):
            self.attnpool = MeanTokenPool(self.attnpool)
        _fold_batch_norms(self)


def _fold_batch_norms(module: nn.Module) -> None:
    """Fold each batch norm into the convolution before it: `convN` with `bnN`, `downsample.0` with `.1`."""
    for name, child in list(module.named_children()):
        norm_name = "1" if name == "0" else f"bn{name.removeprefix('conv')}"
        norm = getattr(module, norm_name, None)
        if isinstance(child, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(child, norm))
            setattr(module, norm_name, nn.Identity())
        else:
            _fold_batch_norms(child)
