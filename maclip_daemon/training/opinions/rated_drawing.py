"""How photos with opinions are drawn, and what they should score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maclip_daemon.training.opinions.opinion_tuning import RatedPhotos, spread_targets
from maclip_daemon.training.recipe import Recipe


@dataclass(frozen=True)
class RatedDrawing:
    """Of N photos with opinions."""

    targets: NDArray[np.float64]
    """[N], 0…1."""
    groups: NDArray[np.intp]
    """[N], the number of each photo's subset."""
    chances: NDArray[np.float64]
    """[N], their sum is 1."""


def drawing_of(rated: RatedPhotos, recipe: Recipe) -> RatedDrawing:
    """Return how these photos are drawn: by the square root of their subset's size in BIQ2021 as a whole."""
    # The square root: the many photos of the large subset do not drown the others.
    names, groups, sizes = np.unique(rated.subsets, return_inverse=True, return_counts=True)
    shares = dict(recipe.subset_shares)
    chances = (np.sqrt([shares.get(str(name), 1.0) for name in names]) / sizes)[groups]
    targets = spread_targets(rated.opinions, recipe.weights(rated.subsets))
    return RatedDrawing(targets, groups, chances / chances.sum())
