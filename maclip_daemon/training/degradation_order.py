"""Degradation order: how often a model scores the worse level of a degradation lower."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from maclip_daemon.training.degradations import MAXIMUM_LEVEL, Pixels, degrade

TEN_KINDS = (
    "gaussian_blur",
    "lens_blur",
    "motion_blur",
    "white_noise",
    "impulse_noise",
    "jpeg",
    "webp",
    "downscaling",
    "underexposure",
    "contrast_loss",
)
"""The degradations of the published table: chosen before the model was trained."""


def share_in_order(
    judge: Callable[[Sequence[Pixels]], Sequence[float]],
    photos: Sequence[Pixels],
    kinds: Sequence[str] = TEN_KINDS,
    seed: int = 0,
) -> Mapping[str, float]:
    """Return, for each kind, the share of neighbouring levels whose worse one has the lower score, 0…1.

    Each photo is judged untouched and at levels 1 to 5: five neighbouring pairs. `judge` returns the scores
    of photos [H, W, 3]. A photo's noise and direction of motion are the same at all levels.
    """
    right = dict.fromkeys(kinds, 0)
    for number, photo in enumerate(photos):
        levels = [
            degrade(photo, kind, level, np.random.default_rng([seed, number]))
            for kind in kinds
            for level in range(1, MAXIMUM_LEVEL + 1)
        ]
        untouched, *scores = judge([photo, *levels])
        for place, kind in enumerate(kinds):
            ladder = [untouched, *scores[place * MAXIMUM_LEVEL : (place + 1) * MAXIMUM_LEVEL]]
            right[kind] += sum(better > worse for better, worse in itertools.pairwise(ladder))
    return {kind: count / (len(photos) * MAXIMUM_LEVEL) for kind, count in right.items()}
