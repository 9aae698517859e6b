"""EfficientNet-Lite0 (arXiv 1905.11946, in its form for small devices) with a head, for the built-in model.

Its batch norms are folded into the convolutions before them. The names of the weights are those of
open_clip's `TimmModel` with timm's `tf_efficientnet_lite0`.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import ClassVar

from torch import Tensor, nn

_STEM, _LAST = 32, 1280  # channels
_STAGES = (
    # blocks, kernel, stride of the first, outputs
    (1, 3, 1, 16),
    (2, 3, 2, 24),
    (2, 5, 2, 40),
    (3, 3, 2, 80),
    (3, 5, 1, 112),
    (4, 5, 2, 192),
    (1, 3, 1, 320),
)
_EXPANSION = 6  # inner channels of a block for each input


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's padding: the outputs have the inputs' size / stride, rounded up."""

    def forward(self, values: Tensor) -> Tensor:
        """Return the convolution of padded values."""
        (above, below), (left, right) = (
            _padding(size, kernel, stride)
            for size, kernel, stride in zip(values.shape[-2:], self.kernel_size, self.stride, strict=True)
        )
        padded = nn.functional.pad(values, (left, right, above, below))
        return nn.functional.conv2d(padded, self.weight, self.bias, self.stride, 0, 1, self.groups)


def _padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the pixels before and behind a side."""
    missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return missing // 2, missing - missing // 2


class EvenSameConv2d(nn.Module):
    """A strided `SameConv2d` without a padded copy of its input, which takes a sixth of the time of a view.

    For even sides that padding is one pixel longer at the right and bottom. A kernel with an empty first row
    and column, and equal padding all around, computes exactly the same.
    """

    def __init__(self, exact: SameConv2d) -> None:
        super().__init__()
        self.exact = exact
        self.padding = exact.kernel_size[0] // 2
        self.register_buffer("kernel", nn.functional.pad(exact.weight, (1, 0, 1, 0)))
        self.kernel: Tensor

    def forward(self, values: Tensor) -> Tensor:
        """Return what the exact one does."""
        if values.shape[-2] % 2 or values.shape[-1] % 2:
            padded: Tensor = self.exact(values)
            return padded
        return nn.functional.conv2d(
            values, self.kernel, self.exact.bias, 2, self.padding, 1, self.exact.groups
        )


def _depthwise(channels: int, kernel: int, stride: int) -> nn.Conv2d:
    if stride > 1:
        return SameConv2d(channels, channels, kernel, stride, groups=channels)
    return nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)


class SeparableBlock(nn.Module):
    """A depthwise convolution and a mixture of its channels, without a shortcut."""

    followers: ClassVar = (("conv_dw", "bn1"), ("conv_pw", "bn2"))
    """Convolutions and the activations right after them (`iqa.fused_convolutions`)."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv_dw = _depthwise(inputs, kernel, 1)
        self.bn1 = nn.ReLU6(inplace=True)
        self.conv_pw = nn.Conv2d(inputs, outputs, 1)
        self.bn2 = nn.Identity()

    def forward(self, values: Tensor) -> Tensor:
        """Return activations [N, C', h, w] from [N, C, h, w]."""
        result: Tensor = self.bn2(self.conv_pw(self.bn1(self.conv_dw(values))))
        return result


class InvertedBlock(nn.Module):
    """An inverted residual block: more channels, a depthwise convolution, fewer channels."""

    followers: ClassVar = (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3"))
    """As of `SeparableBlock`."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = _EXPANSION * inputs
        self.has_shortcut = stride == 1 and inputs == outputs
        self.conv_pw = nn.Conv2d(inputs, inner, 1)
        self.bn1 = nn.ReLU6(inplace=True)
        self.conv_dw = _depthwise(inner, kernel, stride)
        self.bn2 = nn.ReLU6(inplace=True)
        self.conv_pwl = nn.Conv2d(inner, outputs, 1)
        self.bn3 = nn.Identity()

    def forward(self, values: Tensor) -> Tensor:
        """Return activations [N, C', h', w'] from [N, C, h, w]."""
        inner = self.bn2(self.conv_dw(self.bn1(self.conv_pw(values))))
        result: Tensor = self.bn3(self.conv_pwl(inner))
        return result + values if self.has_shortcut else result


class Trunk(nn.Module):
    """Normalised views [N, 3, h, w] → activations [N, 1280, h / 32, w / 32]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = SameConv2d(3, _STEM, 3, 2)
        self.bn1 = nn.ReLU6(inplace=True)
        inputs = _STEM
        stages: list[nn.Module] = []
        for count, kernel, stride, outputs in _STAGES:
            first: nn.Module = (
                SeparableBlock(inputs, outputs, kernel)
                if not stages
                else InvertedBlock(inputs, outputs, kernel, stride)
            )
            others = [InvertedBlock(outputs, outputs, kernel, 1) for _ in range(count - 1)]
            stages.append(nn.Sequential(first, *others))
            inputs = outputs
        self.blocks = nn.Sequential(*stages)
        self.conv_head = nn.Conv2d(inputs, _LAST, 1)
        self.bn2 = nn.ReLU6(inplace=True)

    def forward(self, views: Tensor) -> Tensor:
        """Return the last activations."""
        values = self.blocks(self.bn1(self.conv_stem(views)))
        last: Tensor = self.bn2(self.conv_head(values))
        return last


class LiteTower(nn.Module):
    """Normalised views [N, 3, h, w] of any size → features [N, D]."""

    def __init__(self, embedding: int) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        projection: list[tuple[str, nn.Module]] = [
            ("fc1", nn.Linear(_LAST, 2 * embedding)),
            ("act", nn.GELU()),
            ("fc2", nn.Linear(2 * embedding, embedding)),
        ]
        self.head = nn.Sequential(OrderedDict(mlp=nn.Sequential(OrderedDict(projection))))

    def forward(self, views: Tensor) -> Tensor:
        """Return features [N, D]."""
        features: Tensor = self.head(self.pool(self.trunk(views)))
        return features


def halves(tower: LiteTower, blocks: int) -> tuple[nn.Sequential, nn.Sequential]:
    """Return the tower cut in two after this many of the trunk's stages; run in order they are the tower.

    The modules are the tower's own, not copies.
    """
    trunk = tower.trunk
    lower = nn.Sequential(trunk.conv_stem, trunk.bn1, *trunk.blocks[:blocks])
    upper: list[tuple[str, nn.Module]] = [
        (f"block{number}", trunk.blocks[number]) for number in range(blocks, len(trunk.blocks))
    ]
    upper += [
        ("last", trunk.conv_head),
        ("activation", trunk.bn2),
        ("pool", tower.pool),
        ("head", tower.head),
    ]
    return lower, nn.Sequential(OrderedDict(upper))


def avoid_padding_copies(model: nn.Module) -> None:
    """Replace strided depthwise convolutions, in place."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, SameConv2d) and child.groups > 1:
                setattr(parent, name, EvenSameConv2d(child))
