"""Convolutions on the processor together with what follows them, by oneDNN's operators in PyTorch.

Alone, a convolution lays its weights out anew for every batch, and the activation and the residual sum after
it each go through memory once more. Here the weights are laid out once, and the rest is done while a result
is still in the processor's registers: the same function with fewer roundings. `torch.compile` uses the same
operators, but needs a C++ compiler on the user's machine and half a minute at every start.
"""

from __future__ import annotations

import functools
from typing import Literal

import torch
from open_clip.modified_resnet import Bottleneck, ModifiedResNet
from timm.models._efficientnet_blocks import DepthwiseSeparableConv, InvertedResidual
from torch import Tensor, nn

Activation = Literal["none", "relu", "relu6"]
_ONEDNN_ACTIVATIONS: dict[Activation, tuple[str, list[float]]] = {
    "none": ("none", []),
    "relu": ("relu", []),
    "relu6": ("hardtanh", [0.0, 6.0]),
}
_FOLLOWERS: dict[type[nn.Module], tuple[tuple[str, str], ...]] = {
    ModifiedResNet: (("conv1", "act1"), ("conv2", "act2"), ("conv3", "act3")),
    DepthwiseSeparableConv: (("conv_dw", "bn1"), ("conv_pw", "bn2")),
    InvertedResidual: (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3")),
}
"""Convolutions and the activations that follow them at once, in towers whose batch norms are folded."""


class FusedConvolution(nn.Module):
    """A convolution with its activation, on the processor; takes activations of any size, channels last."""

    def __init__(self, convolution: nn.Conv2d, activation: Activation, size: tuple[int, ...]) -> None:
        """`size`: of the activations [N, C, h, w] that will come most often; the weights' layout suits it."""
        super().__init__()
        assert not isinstance(convolution.padding, str)
        self._geometry = (
            list(convolution.padding),
            list(convolution.stride),
            list(convolution.dilation),
            convolution.groups,
        )
        self._activation, self._bounds = _ONEDNN_ACTIVATIONS[activation]
        self._weight = torch.ops.mkldnn._reorder_convolution_weight(
            convolution.weight.detach(), *self._geometry, list(size)
        )
        self._bias = None if convolution.bias is None else convolution.bias.detach()

    def forward(self, values: Tensor) -> Tensor:
        """[N, C, h, w] → the activation of the convolution."""
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(
            values, self._weight, self._bias, *self._geometry, self._activation, self._bounds, ""
        )
        return result

    def onto(self, shortcut: Tensor, values: Tensor) -> Tensor:
        """ReLU(shortcut + convolution of the values); overwrites the shortcut, which is the result."""
        result: Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
            shortcut, values, self._weight, self._bias, *self._geometry, "add", 1.0, "relu", [], ""
        )
        return result


class FusedBottleneck(nn.Module):
    """A bottleneck of OpenAI's ResNet in three steps (and one for each pool); overwrites its input."""

    def __init__(self, block: Bottleneck, sizes: dict[nn.Module, tuple[int, ...]]) -> None:
        super().__init__()
        self.first = FusedConvolution(block.conv1, "relu", sizes[block.conv1])
        self.second = FusedConvolution(block.conv2, "relu", sizes[block.conv2])
        self.third = FusedConvolution(block.conv3, "none", sizes[block.conv3])
        self.pool = block.avgpool
        self.shortcut: nn.Module = nn.Identity()
        if block.downsample is not None:
            pool, widening = block.downsample[0], block.downsample[1]
            self.shortcut = nn.Sequential(pool, FusedConvolution(widening, "none", sizes[widening]))

    def forward(self, values: Tensor) -> Tensor:
        """[N, C, h, w] → [N, C', h', w']."""
        inner = self.pool(self.second(self.first(values)))
        return self.third.onto(self.shortcut(values), inner)


@torch.no_grad()
def fuse(tower: nn.Module, example: Tensor) -> None:
    """Fuse what can be fused, in place, in a tower on the processor that takes what is like `example`.

    Knows OpenAI's ResNets and the blocks of EfficientNets. Other towers, towers whose batch norms are not
    folded, and all of them where PyTorch or the processor has no such operators for its precision, stay as
    they are.
    """
    known = [module for module in tower.modules() if type(module) in _FOLLOWERS]
    folded = not any(isinstance(module, nn.BatchNorm2d) for module in tower.modules())
    if not (known and folded and is_available(example.dtype)):
        return
    sizes = _input_sizes(tower, example)
    for module in known:
        for convolution_name, activation_name in _FOLLOWERS[type(module)]:
            convolution = getattr(module, convolution_name)
            activation = _activation(getattr(module, activation_name))
            if type(convolution) is nn.Conv2d and activation is not None:
                fused = FusedConvolution(convolution, activation, sizes[convolution])
                setattr(module, convolution_name, fused)
                setattr(module, activation_name, nn.Identity())
        for stage in module.children():
            if isinstance(stage, nn.Sequential):
                _fuse_bottlenecks(stage, sizes)


def _fuse_bottlenecks(stage: nn.Sequential, sizes: dict[nn.Module, tuple[int, ...]]) -> None:
    for place, block in enumerate(stage):
        if isinstance(block, Bottleneck):
            stage[place] = FusedBottleneck(block, sizes)


def _activation(module: nn.Module) -> Activation | None:
    """The activation's name; None for what is none, such as a batch norm that was not folded."""
    names: dict[type[nn.Module], Activation] = {nn.Identity: "none", nn.ReLU: "relu", nn.ReLU6: "relu6"}
    return names.get(type(module))


def _input_sizes(tower: nn.Module, example: Tensor) -> dict[nn.Module, tuple[int, ...]]:
    """The size [N, C, h, w] in which the example reaches each convolution."""
    sizes: dict[nn.Module, tuple[int, ...]] = {}

    def note(convolution: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        sizes[convolution] = tuple(inputs[0].shape)

    hooks = [
        module.register_forward_pre_hook(note) for module in tower.modules() if isinstance(module, nn.Conv2d)
    ]
    try:
        tower(example)
    finally:
        for hook in hooks:
            hook.remove()
    return sizes


@functools.cache
def is_available(dtype: torch.dtype) -> bool:
    """Whether the operators are here and do what is said above: they are PyTorch's own, and may change."""
    generator = torch.Generator().manual_seed(0)
    convolution = nn.Conv2d(8, 8, 3, padding=1).to(dtype)
    nn.init.normal_(convolution.weight, std=0.5, generator=generator)
    shape = (2, 8, 6, 6)
    values, shortcut = (torch.randn(shape, generator=generator).to(dtype) for _ in range(2))
    values = values.contiguous(memory_format=torch.channels_last)
    shortcut = shortcut.contiguous(memory_format=torch.channels_last)
    try:
        with torch.no_grad():
            plain = convolution(values)
            clipped = FusedConvolution(convolution, "relu6", shape)(values)
            added = FusedConvolution(convolution, "none", shape).onto(shortcut.clone(), values)
    except (RuntimeError, AttributeError, TypeError, NotImplementedError):
        return False
    tolerance = 4 * torch.finfo(dtype).eps * float(plain.abs().max())
    return all(
        bool(torch.allclose(fused.float(), expected.float(), rtol=0, atol=tolerance))
        for fused, expected in ((clipped, plain.clamp(0, 6)), (added, (plain + shortcut).relu()))
    )
