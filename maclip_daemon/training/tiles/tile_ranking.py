"""Ranking of tiles: of two frames of one scene, the one with the stronger fault must come second."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from maclip_daemon.training.aligned_model import Cues

_ORDERED = ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""Frames of a burst, the better first: 0 and 1 are sharp, 2 and 3 have one fault, weaker and stronger."""


@dataclass(frozen=True)
class TileWeights:
    """The weight of each part of the loss, and its numbers."""

    frames: float = 2.0
    """Of the order of frames, by the mean over their tiles."""
    tiles: float = 0.5
    """Of the order of the tiles of one place."""
    consistency: float = 2.0
    """Of two sharp frames that differ in their framing."""
    anchor: float = 0.3
    """Of the better half of the tiles: a level has one place on the scale, whatever the scene."""
    temperature: float = 0.04
    """Of the score: a difference of so much is nearly sure."""
    consistency_margin: float = 0.004


def tile_loss(tiles: Cues, levels: Tensor, weights: TileWeights | None = None) -> Tensor:
    """Return the loss of B bursts of four frames: of `tiles` [4B·T] and `levels` [B, 4], 0…5."""
    weights = weights or TileWeights()
    heat, loss = weights.temperature, torch.zeros(())
    for cue, share in ((tiles.score, 1.0), (tiles.q_sim, 0.5), (tiles.q_mag, 0.5)):
        by_tile = cue.reshape(*levels.shape, -1)
        frames = by_tile.mean(dim=-1)
        for better, worse in _ORDERED:
            lead = frames[:, better] - frames[:, worse]
            order = weights.frames * nn.functional.softplus(0.5 - lead / heat).mean()
            lead = by_tile[:, better] - by_tile[:, worse]
            order = order + weights.tiles * nn.functional.softplus(-lead / heat).mean()
            loss = loss + share * heat * order
        apart = (frames[:, 0] - frames[:, 1]).abs()
        loss = loss + share * weights.consistency * torch.relu(apart - weights.consistency_margin).mean()
    by_tile = tiles.score.reshape(*levels.shape, -1)
    best = by_tile.topk(max(1, by_tile.shape[-1] // 2), dim=-1).values.mean(dim=-1)
    return loss + weights.anchor * nn.functional.smooth_l1_loss(best, 0.85 - 0.13 * levels, beta=0.1)
