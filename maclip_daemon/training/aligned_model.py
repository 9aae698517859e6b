"""A CLIP in training: an image tower and its prompt features, whose outputs are MA-CLIP's cues.

It trains in bfloat16 where that is faster: everywhere but in depthwise convolutions. On processors with
AVX512-BF16 their backward pass takes twice as long in bfloat16 as in fp32, everything else half as long.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from maclip_daemon.iqa import cues
from maclip_daemon.iqa.towers.lite_tower import SameConv2d

MAXIMUM_SCALE = 4.6  # ln 100, where CLIP clips its own


@dataclass(frozen=True)
class Cues:
    """MA-CLIP's cues of N views."""

    similarities: Tensor
    """[N, P] in 0…1, agreement with the good prompt of each pair."""
    q_sim: Tensor
    """[N]"""
    q_mag: Tensor
    """[N]"""
    score: Tensor
    """[N], both cues fused."""
    cosines: Tensor
    """[N, 2P], likeness to each prompt in the order good, bad; −1…1."""

    def chunk(self, count: int) -> list[Cues]:
        """Return the cues in `count` parts of equal size, in order."""
        parts = (getattr(self, name).chunk(count) for name in _FIELDS)
        return [Cues(*part) for part in zip(*parts, strict=True)]

    def between(self, start: int, stop: int) -> Cues:
        """Return the cues of views `start` to `stop` (exclusive)."""
        return Cues(*(getattr(self, name)[start:stop] for name in _FIELDS))

    def as_columns(self) -> Tensor:
        """Return [N, 3 + P]: score, q_sim, q_mag, and each pair."""
        cues_first = torch.stack([self.score, self.q_sim, self.q_mag], dim=1)
        return torch.cat([cues_first, self.similarities], dim=1)


_FIELDS = ("similarities", "q_sim", "q_mag", "score", "cosines")


class AlignedModel(nn.Module):
    """An image tower with its prompt features; its outputs are MA-CLIP's cues."""

    def __init__(self, tower: nn.Module, prompts: Tensor, logit_scale: float, *, learn_prompts: bool) -> None:
        """`prompts` [2P, D] in the order good, bad; trained only with `learn_prompts`.

        Detail tiles have prompts of their own, which begin as the same.
        """
        super().__init__()
        self.visual = tower
        self.in_bfloat16 = False
        self.prompts = nn.Parameter(prompts.clone(), requires_grad=learn_prompts)
        self.detail_prompts = nn.Parameter(prompts.clone(), requires_grad=learn_prompts)
        self.logit_scale = nn.Parameter(torch.tensor(logit_scale), requires_grad=learn_prompts)

    def features(self, views: Tensor) -> Tensor:
        """Return features [N, D], fp32, of views [N, 3, h, w]; the tower in bfloat16 if `in_bfloat16`."""
        with torch.autocast(views.device.type, torch.bfloat16, enabled=self.in_bfloat16):
            features: Tensor = self.visual(views)
        return features.float()

    def forward(self, views: Tensor) -> Cues:
        """Return the cues of normalised views [N, 3, h, w]."""
        return self.cues_of(self.features(views))

    def cues_of(self, features: Tensor, *, detail: bool = False) -> Cues:
        """Return the cues of features [N, D], with MA-CLIP's published parameters.

        `detail`: features of tiles, which are compared with the prompts for them.
        """
        prompts = nn.functional.normalize(self.detail_prompts if detail else self.prompts, dim=-1)
        cosines = nn.functional.normalize(features, dim=-1) @ prompts.T
        # A tensor times the cosines: pair_similarities takes the scale as a number, which has no gradient.
        scaled = cosines * self.logit_scale.clamp(max=MAXIMUM_SCALE).exp()
        similarities = scaled.reshape(len(features), -1, 2).softmax(dim=-1)[..., 0]
        similarity, magnitude = cues.q_sim(similarities), cues.q_mag(features)
        weights = cues.fusion_weights(similarity, magnitude)
        fused = cues.fuse(similarity, magnitude, weights)
        return Cues(similarities, similarity, magnitude, fused, cosines)


class Averaged:
    """The exponential moving average of a model's weights while it trains: steadier than its last step."""

    def __init__(self, model: AlignedModel, steps: int) -> None:
        """The average spans about the last fifteenth of `steps`."""
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.steps = steps
        self._share = 15 / (steps + 15)

    @torch.no_grad()
    def update(self, model: AlignedModel) -> None:
        """Move the average towards the model's present weights."""
        for average, now in zip(self.model.parameters(), model.parameters(), strict=True):
            average.lerp_(now, self._share)


class _ExactConv2d(nn.Conv2d):
    def forward(self, values: Tensor) -> Tensor:
        with torch.autocast(values.device.type, enabled=False):
            return super().forward(values.float())


class _ExactSameConv2d(SameConv2d):
    def forward(self, values: Tensor) -> Tensor:
        with torch.autocast(values.device.type, enabled=False):
            return super().forward(values.float())


def keep_depthwise_exact(module: nn.Module) -> None:
    """Keep the module's depthwise convolutions in fp32 under autocast, in place."""
    for convolution in module.modules():
        if isinstance(convolution, nn.Conv2d) and convolution.groups > 1:
            # A change of class, not a wrapper: the names of the weights stay, and copies stay independent.
            convolution.__class__ = _ExactSameConv2d if isinstance(convolution, SameConv2d) else _ExactConv2d
