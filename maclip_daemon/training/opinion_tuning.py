"""Tuning on human opinions: the second stage of the built-in model's training.

An aligned model is tuned so that its fused score, and each of its cues, orders photos as people did. The
ladders of degradations stay in the loss, so that it does not forget them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor, nn

from maclip_daemon.training.aligned_model import AlignedModel, Averaged, Cues
from maclip_daemon.training.alignment import (
    AlignmentWeights,
    Ladders,
    correlation_loss,
    ladder_loss,
    one_cycle,
    parameter_groups,
    take_step,
)
from maclip_daemon.training.degradations import Pixels


@dataclass(frozen=True)
class RatedPhotos:
    """Photos with human opinions."""

    names: tuple[str, ...]
    photos: Sequence[Pixels]
    opinions: NDArray[np.float64]
    """Mean opinion score of each, 0…1."""
    subsets: NDArray[np.str_]

    def chosen(self, mask: NDArray[np.bool_]) -> RatedPhotos:
        """Return the photos where the mask is true."""
        places = np.flatnonzero(mask)
        return RatedPhotos(
            tuple(self.names[int(place)] for place in places),
            [self.photos[int(place)] for place in places],
            self.opinions[mask],
            self.subsets[mask],
        )


def held_out(subsets: NDArray[np.str_], share: float, seed: int) -> NDArray[np.bool_]:
    """Return a mask of the held-out photos: this share of each subset, drawn at random."""
    generator = np.random.default_rng(seed)
    mask = np.zeros(len(subsets), dtype=bool)
    for subset in sorted(set(subsets)):
        places = np.flatnonzero(subsets == subset)
        generator.shuffle(places)
        mask[places[: round(share * len(places))]] = True
    return mask


def spread_targets(opinions: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return targets in 0.1…0.95: half the opinion, half its rank.

    Good photos crowd at one opinion (half of all within 0.05); ranks spread them. `weights`: how many photos
    of the world each one represents.
    """
    order = np.argsort(opinions, kind="stable")
    cumulative = np.cumsum(weights[order])
    # Equal opinions share one rank.
    last = np.searchsorted(opinions[order], opinions, side="right") - 1
    first = np.searchsorted(opinions[order], opinions, side="left")
    below = np.where(first > 0, cumulative[np.maximum(first - 1, 0)], 0.0)
    rank = (below + cumulative[last]) / 2 / cumulative[-1]
    value = (opinions - opinions.min()) / (opinions.max() - opinions.min())
    return np.asarray(0.1 + 0.85 * (0.5 * rank + 0.5 * value))


@dataclass(frozen=True)
class Rated:
    """A batch of views with targets, and ladders beside them."""

    views: Tensor
    """[N, 3, h, w], or activations of them."""
    targets: Tensor
    """[N], 0…1."""
    ladders: Ladders


def order_loss(predicted: Tensor, target: Tensor, temperature: float = 0.05) -> Tensor:
    """Return a logistic loss over all pairs of the batch, weighted by their targets' distance (RankNet)."""
    wanted = target[:, None] - target[None, :]
    found = predicted[:, None] - predicted[None, :]
    weight = wanted.clamp(min=0)
    return (weight * nn.functional.softplus(-found / temperature)).sum() / (weight.sum() + 1e-6)


def opinion_loss(found: Cues, targets: Tensor) -> Tensor:
    """Return the distance of the fused score from the targets, and the order and correlation of every cue."""
    loss = 2 * nn.functional.smooth_l1_loss(found.score, targets, beta=0.1)
    for cue, weight in ((found.score, 1.0), (found.q_sim, 0.5), (found.q_mag, 0.5)):
        loss = loss + weight * (correlation_loss(cue, targets) + 0.5 * order_loss(cue, targets))
    return loss


def tune(
    model: AlignedModel,
    batches: Iterator[Rated],
    steps: int,
    *,
    tower_rate: float,
    head_rate: float,
    weight_decay: float = 0.02,
    ladder_weight: float = 0.5,
    report: Callable[[int, float, AlignedModel], None] | None = None,
) -> AlignedModel:
    """Tune an aligned model on human opinions; return its exponential moving average, the one to keep.

    The model is trained in place. `report` is called with each step, its loss, and the average so far.
    """
    optimizer = torch.optim.AdamW(parameter_groups(model, tower_rate, head_rate, weight_decay))
    schedule = one_cycle(optimizer, steps)
    average = Averaged(model, steps)
    margins = AlignmentWeights()
    for step in range(steps):
        batch = next(batches)
        found = model(torch.cat([batch.views, batch.ladders.views]))
        count = len(batch.views)
        parts = (found.similarities, found.q_sim, found.q_mag, found.score)
        loss = opinion_loss(Cues(*(part[:count] for part in parts)), batch.targets)
        loss = loss + ladder_weight * ladder_loss(
            Cues(*(part[count:] for part in parts)), batch.ladders, margins
        )
        take_step(model, loss, optimizer, schedule)
        average.update(model)
        if report is not None:
            report(step, loss.item(), average.model)
    return average.model


def rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return Spearman's rank correlation coefficient (SRCC)."""
    return float(spearmanr(first, second)[0])
