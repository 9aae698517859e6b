"""Convolutions fused with what follows them, on the processor, by oneDNN's operators in PyTorch.

A plain convolution lays out its weights again for every batch. Its activation and residual sum each read and
write memory once more. Fused, the weights are laid out once, and the rest happens in the processor's
registers: the same function with fewer roundings. `torch.compile` uses the same operators, but needs a C++
compiler on the user's machine and half a minute at every start.
"""

from __future__ import annotations

import functools
from typing import Literal

import torch
from torch import Tensor, nn

from maclip_daemon.iqa.towers.resnet_tower import Bottleneck

Activation = Literal["none", "relu", "relu6"]
_ONEDNN_ACTIVATIONS: dict[Activation, tuple[str, list[float]]] = {
    "none": ("none", []),
    "relu": ("relu", []),
    "relu6": ("hardtanh", [0.0, 6.0]),
}
_ACTIVATIONS: dict[type[nn.Module], Activation] = {nn.Identity: "none", nn.ReLU: "relu", nn.ReLU6: "relu6"}


class FusedConvolution(nn.Module):
    """A convolution with its activation, for inputs [N, C, h, w] of any size, channels last."""

    def __init__(self, convolution: nn.Conv2d, activation: Activation, size: tuple[int, ...]) -> None:
        """`size`: the most frequent input size [N, C, h, w]; the layout of the weights suits it."""
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
        """Return the activation of the convolution, [N, C', h', w'] from [N, C, h, w]."""
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(
            values, self._weight, self._bias, *self._geometry, self._activation, self._bounds, ""
        )
        return result

    def onto(self, shortcut: Tensor, values: Tensor) -> Tensor:
        """Return ReLU(shortcut + convolution of the values), written over the shortcut."""
        result: Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
            shortcut, values, self._weight, self._bias, *self._geometry, "add", 1.0, "relu", [], ""
        )
        return result


class FusedBottleneck(nn.Module):
    """A bottleneck of OpenAI's ResNet as three fused convolutions and its pools; overwrites its input."""

    def __init__(self, block: Bottleneck, sizes: dict[nn.Module, tuple[int, ...]]) -> None:
        super().__init__()
        self.first = FusedConvolution(block.conv1, "relu", sizes[block.conv1])
        self.second = FusedConvolution(block.conv2, "relu", sizes[block.conv2])
        self.third = FusedConvolution(block.conv3, "none", sizes[block.conv3])
        self.pool = block.avgpool
        self.shortcut: nn.Module = nn.Identity()
        if block.downsample is not None:
            pool, widening = block.downsample[0], block.downsample[1]
            assert isinstance(widening, nn.Conv2d)
            self.shortcut = nn.Sequential(pool, FusedConvolution(widening, "none", sizes[widening]))

    def forward(self, values: Tensor) -> Tensor:
        """Return activations [N, C', h', w'] from [N, C, h, w]."""
        inner = self.pool(self.second(self.first(values)))
        return self.third.onto(self.shortcut(values), inner)


@torch.no_grad()
def fuse(tower: nn.Module, example: Tensor) -> None:
    """Fuse the convolutions of a tower on the processor, in place; inputs will mostly resemble `example`.

    For modules with `followers`: pairs of names, of a convolution and of the activation right after it.
    Others, and towers with batch norms, stay as they are; so do all where PyTorch or the processor lacks the
    operators for the example's precision.
    """
    known = [module for module in tower.modules() if _followers_of(module)]
    folded = not any(isinstance(module, nn.BatchNorm2d) for module in tower.modules())
    if not (known and folded and is_available(example.dtype)):
        return
    sizes = _input_sizes(tower, example)
    for module in known:
        for convolution_name, activation_name in _followers_of(module):
            convolution = module.get_submodule(convolution_name)
            activation = _ACTIVATIONS.get(type(module.get_submodule(activation_name)))
            if type(convolution) is nn.Conv2d and activation is not None:
                fused = FusedConvolution(convolution, activation, sizes[convolution])
                _replace(module, convolution_name, fused)
                _replace(module, activation_name, nn.Identity())
        for stage in module.children():
            if not isinstance(stage, nn.Sequential):
                continue
            for index, block in enumerate(stage):
                if isinstance(block, Bottleneck):
                    stage[index] = FusedBottleneck(block, sizes)


def _followers_of(module: nn.Module) -> tuple[tuple[str, str], ...]:
    followers: tuple[tuple[str, str], ...] = getattr(module, "followers", ())
    return followers


def _replace(module: nn.Module, name: str, replacement: nn.Module) -> None:
    parent, _, own_name = name.rpartition(".")
    setattr(module.get_submodule(parent), own_name, replacement)


def _input_sizes(tower: nn.Module, example: Tensor) -> dict[nn.Module, tuple[int, ...]]:
    """Return the input size [N, C, h, w] of each convolution when the example goes through the tower."""
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
    """Tell whether PyTorch has the operators and they compute the same here; they are private to it."""
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
