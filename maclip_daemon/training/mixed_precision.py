"""Training in bfloat16 where that is faster: everywhere but in depthwise convolutions.

On processors with AVX512-BF16 the backward pass of a depthwise convolution takes twice as long in bfloat16 as
in fp32, all else half as long. Under autocast, the convolutions changed here stay in fp32.
"""

from __future__ import annotations

import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn


class _ExactConv2d(nn.Conv2d):
    def forward(self, values: Tensor) -> Tensor:
        with torch.autocast(values.device.type, enabled=False):
            return super().forward(values.float())


class _ExactConv2dSame(Conv2dSame):
    def forward(self, values: Tensor) -> Tensor:
        with torch.autocast(values.device.type, enabled=False):
            exact: Tensor = super().forward(values.float())  # type: ignore[no-untyped-call]
        return exact


def keep_depthwise_exact(module: nn.Module) -> None:
    """Keep the module's depthwise convolutions in fp32 under autocast, in place."""
    for convolution in module.modules():
        if isinstance(convolution, nn.Conv2d) and convolution.groups > 1:
            # A change of class, not a wrapper: the names of the weights stay, and copies stay independent.
            convolution.__class__ = _ExactConv2dSame if isinstance(convolution, Conv2dSame) else _ExactConv2d
