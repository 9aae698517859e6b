"""Ranking within bursts: of two frames of one scene, the one with the stronger fault must come second."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from maclip_daemon.training.aligned_model import Cues

_ORDERED = ((0, 2), (1, 2), (2, 3), (0, 3))
"""Frames of a burst, the better first: 0 and 1 are sharp, 2 and 3 have one fault, weaker and stronger."""


@dataclass(frozen=True)
class BurstWeights:
    """The weight of each part of the loss, and its margins."""

    frames: float = 2.0
    """Of the order of frames, by the mean over their tiles."""
    tiles: float = 0.5
    """Of the order of the tiles of one place in two frames."""
    consistency: float = 1.0
    """Of two sharp frames that differ in their framing."""
    anchor: float = 0.5
    """Of the best tiles: a level has one place on the scale, whatever the scene."""
    pictures: float = 0.5
    """Of the small picture, where strong faults show."""
    margin_per_level: float = 0.08
    picture_margin_per_level: float = 0.03
    largest_margin: float = 0.25
    consistency_margin: float = 0.01


def burst_loss(views: Cues, tiles: Cues, levels: Tensor, weights: BurstWeights | None = None) -> Tensor:
    """Return the loss of B bursts of four frames: of `views` [4B] and `tiles` [4B·T].

    `levels` [B, 4]: how severe each frame's fault is, 0…5.
    """
    weights = weights or BurstWeights()
    loss = torch.zeros(())
    for cue, share in ((tiles.score, 1.0), (tiles.q_sim, 0.5), (tiles.q_mag, 0.5)):
        by_tile = cue.reshape(*levels.shape, -1)
        frames = by_tile.mean(dim=-1)
        loss = loss + share * weights.frames * _order(frames, levels, weights.margin_per_level, weights)
        loss = loss + share * weights.tiles * _order(by_tile, levels, weights.margin_per_level, weights)
        loss = loss + share * weights.consistency * _consistency(frames, weights)
    best = tiles.score.reshape(*levels.shape, -1).topk(
        max(1, len(tiles.score) // levels.numel() // 2), dim=-1
    )
    target = 0.85 - 0.13 * levels
    loss = loss + weights.anchor * torch.nn.functional.smooth_l1_loss(
        best.values.mean(dim=-1), target, beta=0.1
    )
    pictures = views.score.reshape(levels.shape)
    return loss + weights.pictures * (
        _order(pictures, levels, weights.picture_margin_per_level, weights) + _consistency(pictures, weights)
    )


def _order(scores: Tensor, levels: Tensor, per_level: float, weights: BurstWeights) -> Tensor:
    """Return the mean hinge of all ordered frames; `scores` [B, 4] or [B, 4, T]."""
    losses = []
    for better, worse in _ORDERED:
        margin = (per_level * (levels[:, worse] - levels[:, better])).clamp(max=weights.largest_margin)
        margin = margin.reshape(-1, *[1] * (scores.ndim - 2))
        losses.append(torch.relu(margin - (scores[:, better] - scores[:, worse])).mean())
    return torch.stack(losses).mean()


def _consistency(scores: Tensor, weights: BurstWeights) -> Tensor:
    return torch.relu((scores[:, 0] - scores[:, 1]).abs() - weights.consistency_margin).mean()
