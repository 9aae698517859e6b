"""The frozen blocks of a tower in the form in which they run fastest."""

from __future__ import annotations

import copy

import torch
from torch import nn

from maclip_daemon.iqa.fused_convolutions import fuse
from maclip_daemon.iqa.towers.lite_tower import avoid_padding_copies
from maclip_daemon.iqa.view_size import VIEW_SIZE


@torch.no_grad()
def fast_copy(blocks: nn.Module) -> nn.Module:
    """Return a copy of frozen blocks that computes the same on the processor in half of the time."""
    fast = copy.deepcopy(blocks).eval().requires_grad_(False)
    avoid_padding_copies(fast)
    fuse(fast, torch.zeros(1, 3, VIEW_SIZE, VIEW_SIZE))
    return fast
