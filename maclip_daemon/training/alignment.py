"""Quality-aware image–text alignment: an image tower learns that worse photos are less like good prompts.

After QualiCLIP (arXiv 2403.11176, section 3): photos are worsened step by step. A margin ranking loss puts
the levels in order of their likeness to antonym prompts, to the good one and to the bad one. A consistency
loss pulls together two overlapping crops of one photo at the same level. No human opinion enters. Two things
differ from the paper: the ranking also runs over MA-CLIP's magnitude cue and fused score, so that both cues
learn it. An anchor loss ties each level to one place on the scale, so that contents can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from maclip_daemon.training.aligned_model import AlignedModel, Averaged, Cues


@dataclass(frozen=True)
class Ladders:
    """A batch of worsened photos: for each of N contents three views."""

    views: Tensor
    """[3N, 3, h, w]: a crop at the better level, another crop at that level, the first at the worse one."""
    better: Tensor
    """[N], level in 0…5."""
    worse: Tensor
    """[N], level in 0…5, larger than `better`."""
    pairs: Tensor
    """[N, P] of 0 and 1: the prompt pairs that describe the degradation."""

    def to(self, device: str) -> Ladders:
        """Return the same batch on another device."""
        return Ladders(*(part.to(device) for part in (self.views, self.better, self.worse, self.pairs)))


def together(first: Ladders, second: Ladders) -> Ladders:
    """Return two batches as one."""
    parts = zip(first.views.chunk(3), second.views.chunk(3), strict=True)
    return Ladders(
        torch.cat([torch.cat(both) for both in parts]),
        torch.cat([first.better, second.better]),
        torch.cat([first.worse, second.worse]),
        torch.cat([first.pairs, second.pairs]),
    )


@dataclass(frozen=True)
class AlignmentWeights:
    """The weight of each part of the loss, and its margins."""

    ranking: float = 1.0
    consistency: float = 0.3
    anchor: float = 1.0
    margin_per_level: float = 0.1
    """Two levels that are one step apart should differ by this much in the score (0…1)."""
    consistency_margin: float = 0.05
    likeness: float = 2.0
    """Of QualiCLIP's two losses: less like the good prompt, more like the bad one, each by itself."""
    likeness_margin_per_level: float = 0.015
    """In cosines."""


def ranking_loss(better: Tensor, worse: Tensor, margin: Tensor | float) -> Tensor:
    """Return the mean of max(0, margin − (better − worse)): QualiCLIP's L_pos for one cue. All [N]."""
    return torch.relu(margin - (better - worse)).mean()


def consistency_loss(first: Tensor, second: Tensor, margin: float) -> Tensor:
    """Return the mean of max(0, |first − second| − margin): QualiCLIP's L_cons for one cue. All [N]."""
    return torch.relu((first - second).abs() - margin).mean()


def correlation_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Return 1 − Pearson's correlation, which does not depend on the scale of the prediction. Both [N]."""
    predicted, target = predicted - predicted.mean(), target - target.mean()
    lengths: Tensor = predicted.norm() * target.norm()
    return 1 - (predicted * target).sum() / (lengths + 1e-6)


def ladder_loss(found: Cues, ladders: Ladders, weights: AlignmentWeights) -> Tensor:
    """Return the ranking and consistency losses of N ladders, over each cue and the related pairs.

    `found`: the cues of the 3N views, in the order of `Ladders.views`.
    """
    first, other, worse = found.chunk(3)
    margin = weights.margin_per_level * (ladders.worse - ladders.better)
    ranking = sum(
        (
            ranking_loss(getattr(first, cue), getattr(worse, cue), margin)
            for cue in ("q_sim", "q_mag", "score")
        ),
        start=torch.zeros(()),
    )
    by_pair = torch.relu(margin[:, None] - (first.similarities - worse.similarities)) * ladders.pairs
    ranking = ranking + by_pair.sum() / ladders.pairs.sum()
    consistency = sum(
        (
            consistency_loss(getattr(first, cue), getattr(other, cue), weights.consistency_margin)
            for cue in ("q_sim", "q_mag", "score")
        ),
        start=torch.zeros(()),
    )
    likeness = likeness_loss(first, worse, ladders, weights.likeness_margin_per_level)
    return weights.ranking * ranking + weights.consistency * consistency + weights.likeness * likeness


def likeness_loss(better: Cues, worse: Cues, ladders: Ladders, margin_per_level: float) -> Tensor:
    """Return QualiCLIP's L_pos and L_neg over the related pairs.

    The worse view must be less like the good prompt and more like the bad one.
    """
    margin = (margin_per_level * (ladders.worse - ladders.better))[:, None]
    gained = (worse.cosines - better.cosines).reshape(len(margin), -1, 2)
    loss = torch.relu(margin + gained[..., 0]) + torch.relu(margin - gained[..., 1])
    related: Tensor = (loss * ladders.pairs).sum() / ladders.pairs.sum()
    return related


def anchor_loss(found: Cues, ladders: Ladders) -> Tensor:
    """Return how far views are from their level's place on the scale: 0.9 untouched, 0.15 at the worst."""
    level = torch.cat([ladders.better, ladders.better, ladders.worse])
    target = 0.9 - 0.15 * level
    return (
        nn.functional.smooth_l1_loss(found.score, target, beta=0.1)
        + correlation_loss(found.score, target)
        + 0.5 * correlation_loss(found.q_sim, target)
        + 0.5 * correlation_loss(found.q_mag, target)
    )


def parameter_groups(
    model: AlignedModel, tower_rate: float, head_rate: float, weight_decay: float
) -> list[dict[str, object]]:
    """Return AdamW's groups: the tower learns slowly, head and prompts fast; vectors never decay."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = tower_rate if name.startswith("visual.") and ".head." not in f".{name}" else head_rate
            decay = weight_decay if parameter.ndim > 1 and "prompts" not in name else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": group, "lr": rate, "weight_decay": decay} for (rate, decay), group in groups.items()]


def _one_cycle(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.OneCycleLR:
    """Return a schedule: each learning rate rises to its maximum in a tenth, then falls to almost 0."""
    peaks = [group["lr"] for group in optimizer.param_groups]
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, peaks, total_steps=steps, pct_start=0.1)


def _take_step(
    model: nn.Module,
    loss: Tensor,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> None:
    """Take one step down the gradient, its norm at most 1 so that no odd batch throws the tower off."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()


def training_steps(
    model: AlignedModel, losses: Iterable[Tensor], groups: list[dict[str, object]], average: Averaged
) -> Iterator[tuple[int, float]]:
    """Train a model in place; yield each step and its loss.

    `losses`: one for each step, computed from the model as it is then. `groups`: AdamW's, each with its
    highest rate. `average` follows the model, and ends as the one to keep.
    """
    optimizer = torch.optim.AdamW(groups)
    schedule = _one_cycle(optimizer, average.steps)
    for step, loss in zip(range(average.steps), losses, strict=False):
        _take_step(model, loss, optimizer, schedule)
        average.update(model)
        yield step, loss.item()


def align(
    model: AlignedModel,
    batches: Iterable[Ladders],
    steps: int,
    *,
    tower_rate: float,
    head_rate: float,
    weights: AlignmentWeights | None = None,
    weight_decay: float = 0.02,
    report: Callable[[int, float], None] | None = None,
) -> AlignedModel:
    """Align a model to the order of degradations, without any human opinion; returns its averaged weights.

    `batches` must yield at least `steps` batches. `report` is told each step and its loss. The model is
    trained in place; what is returned is an exponential moving average of it, which is the one to keep.
    """
    weights = weights or AlignmentWeights()
    average = Averaged(model, steps)
    losses = (_alignment_loss(model(ladders.views), ladders, weights) for ladders in batches)
    groups = parameter_groups(model, tower_rate, head_rate, weight_decay)
    for step, loss in training_steps(model, losses, groups, average):
        if report is not None:
            report(step, loss)
    return average.model


def _alignment_loss(found: Cues, ladders: Ladders, weights: AlignmentWeights) -> Tensor:
    return ladder_loss(found, ladders, weights) + weights.anchor * anchor_loss(found, ladders)
