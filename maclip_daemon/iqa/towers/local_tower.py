"""A tower for tiles alone: fine detail → features. An extension of the built-in model's checkpoint layout.

Weights under `local_visual.` replace the image tower for tiles; their features are compared with the prompts
for tiles. Five plain convolutions see 41 pixels around a place: enough for blur and noise, too little to
know a scene by heart. Where a place counts is learned, so that a flat sky says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from maclip_daemon.errors import ModelUnavailable

PREFIX = "local_visual."
_WIDTHS = (24, 32, 48, 64, 64)
_KERNELS = (5, 3, 3, 3, 3)
_STRIDES = (2, 2, 1, 2, 1)
_HIDDEN = 128


class LocalTower(nn.Module):
    """Normalised tiles [N, 3, h, w] → features [N, D]."""

    followers: ClassVar = tuple((f"convolutions.{n}", f"activations.{n}") for n in range(len(_WIDTHS)))
    """Convolutions and the activations right after them (`iqa.fused_convolutions`)."""

    def __init__(self, embedding: int, hidden: int = _HIDDEN) -> None:
        super().__init__()
        inputs = (3, *_WIDTHS[:-1])
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, kernel, stride, kernel // 2)
            for before, after, kernel, stride in zip(inputs, _WIDTHS, _KERNELS, _STRIDES, strict=True)
        )
        self.activations = nn.ModuleList(nn.ReLU(inplace=True) for _ in _WIDTHS)
        self.gate = nn.Conv2d(_WIDTHS[-1], 1, 1)
        self.hidden = nn.Linear(2 * _WIDTHS[-1], hidden)
        self.projection = nn.Linear(hidden, embedding)

    def forward(self, tiles: Tensor) -> Tensor:
        """Return features [N, D]: means over all places, and over those that the gate chooses."""
        values = tiles
        for convolution, activation in zip(self.convolutions[:-1], self.activations[:-1], strict=True):
            values = activation(convolution(values))
        values = values + self.activations[-1](self.convolutions[-1](values))
        shares = self.gate(values).flatten(2).softmax(dim=-1)  # [N, 1, places]
        places = values.flatten(2)
        means = torch.cat([(places * shares).sum(dim=-1), places.mean(dim=-1)], dim=1)
        features: Tensor = self.projection(self.hidden(means).relu())
        return features


def load(state: Mapping[str, Tensor], embedding: int, origin: str) -> LocalTower | None:
    """Return the tower with the weights under `local_visual.`; None where there are none.

    `embedding`: the dimensions of the image tower's features. Raises `ModelUnavailable` when a weight is
    missing or has another shape.
    """
    weights = {
        name.removeprefix(PREFIX): value.float() for name, value in state.items() if name.startswith(PREFIX)
    }
    if not weights:
        return None
    with torch.device("meta"):
        tower = LocalTower(embedding)
    try:
        tower.load_state_dict(weights, assign=True)
    except RuntimeError:
        raise ModelUnavailable(
            f"{origin} is not a complete model: its local tower lacks weights or has others. "
            "Check the file, or fetch it again."
        ) from None
    return tower.eval().requires_grad_(False)
