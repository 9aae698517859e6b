"""Tuning on human opinions: the second stage of the built-in model's training.

An aligned model is tuned so that its fused score, and each of its cues, orders photos as people did. The
ladders of degradations stay in the loss, so that it does not forget them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor, nn

from maclip_daemon.training.aligned_model import AlignedModel, Averaged, Cues
from maclip_daemon.training.alignment import (
    AlignmentWeights,
    Ladders,
    consistency_loss,
    correlation_loss,
    ladder_loss,
    parameter_groups,
    training_steps,
)
from maclip_daemon.training.bursts.burst_cache import BurstBatch
from maclip_daemon.training.bursts.burst_ranking import burst_loss
from maclip_daemon.training.degradations import Pixels


@dataclass(frozen=True)
class Chosen(Sequence[Pixels]):
    """Some photos of a sequence, which may read them only when they are asked for."""

    photos: Sequence[Pixels]
    places: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, place: int) -> Pixels: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Pixels]: ...

    def __getitem__(self, place: int | slice) -> Pixels | Sequence[Pixels]:
        if isinstance(place, slice):
            return Chosen(self.photos, self.places[place])
        return self.photos[int(self.places[place])]


@dataclass(frozen=True)
class RatedPhotos:
    """Photos with human opinions."""

    names: tuple[str, ...]
    photos: Sequence[Pixels]
    opinions: NDArray[np.float64]
    """Mean opinion score of each, 0…1."""
    subsets: NDArray[np.str_]
    scenes: NDArray[np.int32]
    """Near-twins have the same number."""

    def chosen(self, mask: NDArray[np.bool_]) -> RatedPhotos:
        """Return the photos where the mask is true."""
        places = np.flatnonzero(mask)
        return RatedPhotos(
            tuple(self.names[int(place)] for place in places),
            Chosen(self.photos, places),
            self.opinions[mask],
            self.subsets[mask],
            self.scenes[mask],
        )


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
    """A batch of views with targets, with ladders and bursts beside them."""

    views: Tensor
    """[N, 3, h, w], or activations of them."""
    targets: Tensor
    """[N], 0…1."""
    groups: Tensor
    """[N], the number of each photo's subset."""
    grey: int
    """The last `grey` views are the first ones in black and white."""
    ladders: Ladders
    bursts: BurstBatch | None = None


@dataclass(frozen=True)
class TuningWeights:
    """The weight of each part of the loss beside the opinions."""

    ladders: float = 0.8
    bursts: float = 1.0
    grey: float = 2.0
    detail_opinions: float = 0.3
    """Of the opinions on the cues of tiles: crops of small photos are tiles of a kind."""


def order_loss(
    predicted: Tensor, target: Tensor, temperature: float = 0.05, groups: Tensor | None = None
) -> Tensor:
    """Return a logistic loss over all pairs of the batch, weighted by their targets' distance (RankNet).

    `groups` [N]: pairs within a group count three times; between groups the order is easy.
    """
    wanted = target[:, None] - target[None, :]
    found = predicted[:, None] - predicted[None, :]
    weight = wanted.clamp(min=0)
    if groups is not None:
        weight = weight * (1 + 2 * (groups[:, None] == groups[None, :]))
    return (weight * nn.functional.softplus(-found / temperature)).sum() / (weight.sum() + 1e-6)


def opinion_loss(found: Cues, targets: Tensor, groups: Tensor | None = None) -> Tensor:
    """Return the distance of the fused score from the targets, and the order and correlation of every cue."""
    loss = 2 * nn.functional.smooth_l1_loss(found.score, targets, beta=0.1)
    for cue, weight in ((found.score, 1.0), (found.q_sim, 0.5), (found.q_mag, 0.5)):
        loss = loss + weight * (
            correlation_loss(cue, targets) + 0.5 * order_loss(cue, targets, groups=groups)
        )
    return loss


def tuning_loss(model: AlignedModel, batch: Rated, weights: TuningWeights) -> Tensor:
    """Return the loss of one batch; all views go through the tower together."""
    parts = [batch.views, batch.ladders.views]
    if batch.bursts is not None:
        parts += [batch.bursts.views, batch.bursts.tiles]
    features = torch.split(model.features(torch.cat(parts)), [len(part) for part in parts])
    rated = model.cues_of(features[0])
    loss = opinion_loss(rated, batch.targets, batch.groups)
    loss = loss + weights.detail_opinions * opinion_loss(
        model.cues_of(features[0], detail=True), batch.targets, batch.groups
    )
    if batch.grey:
        count = batch.grey
        loss = loss + weights.grey * consistency_loss(rated.score[:count], rated.score[-count:], 0.01)
    loss = loss + weights.ladders * ladder_loss(model.cues_of(features[1]), batch.ladders, AlignmentWeights())
    if batch.bursts is not None:
        views, tiles = model.cues_of(features[2]), model.cues_of(features[3], detail=True)
        loss = loss + weights.bursts * burst_loss(views, tiles, batch.bursts.levels)
    return loss


def tune(
    model: AlignedModel,
    batches: Iterator[Rated],
    steps: int,
    *,
    tower_rate: float,
    head_rate: float,
    weight_decay: float = 0.02,
    weights: TuningWeights | None = None,
    report: Callable[[int, float, AlignedModel], None] | None = None,
) -> AlignedModel:
    """Tune an aligned model on human opinions; return its exponential moving average, the one to keep.

    The model is trained in place. `report` is called with each step, its loss, and the average so far.
    """
    average = Averaged(model, steps)
    losses = (tuning_loss(model, batch, weights or TuningWeights()) for batch in batches)
    groups = parameter_groups(model, tower_rate, head_rate, weight_decay)
    for step, loss in training_steps(model, losses, groups, average):
        if report is not None:
            report(step, loss, average.model)
    return average.model


def rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return Spearman's rank correlation coefficient (SRCC)."""
    return float(spearmanr(first, second)[0])
