"""The numbers of the built-in model's training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Recipe:
    """Every number of the training."""

    seed: int = 0
    split_seed: int = 20251120
    held_out_share: float = 0.18
    embedding: int = 256
    frozen_blocks: int = 4
    """Blocks of the trunk that stay as ImageNet made them; their activations are computed once."""
    good_subset: str = "ss03"
    """Photos of this subset are the good ones that the first stage worsens; their opinions are not used."""
    subset_shares: tuple[tuple[str, float], ...] = (("ss01", 1), ("ss02", 1), ("ss03", 4))
    """How many photos of each subset there are in BIQ2021 as a whole, as a ratio."""
    align_ladders: int = 3000
    align_steps: int = 150
    """Few and gentle: after more the model knows the degradations better and real photos worse."""
    align_batch: int = 14
    tune_ladders: int = 3000
    tune_ladder_batch: int = 8
    tune_epochs: int = 12
    tune_batch: int = 36
    ladder_weight: float = 1.0
    crops: int = 5
    """Random crops of each rated photo, beside its global view."""
    align_tower_rate: float = 5e-5
    tune_tower_rate: float = 3e-4
    align_head_rate: float = 2e-3
    tune_head_rate: float = 1e-3
    steady_ladders: int = 900
    """Hard ladders of the last stage, in which no degradation may pass for an improvement."""
    steady_steps: int = 260
    steady_ladder_batches: tuple[int, int] = (7, 4)
    """Hard ladders and ordinary ones in each batch, beside as many rated views as in the stage before."""
    steady_tower_rate: float = 1e-4
    steady_head_rate: float = 3e-4

    def weights(self, subsets: NDArray[np.str_]) -> NDArray[np.float64]:
        """Return how many photos of BIQ2021 each photo represents, in proportion; their mean is 1."""
        shares = dict(self.subset_shares)
        sizes = {subset: int((subsets == subset).sum()) for subset in set(subsets)}
        weights = np.array([shares.get(str(subset), 1.0) / sizes[subset] for subset in subsets])
        return np.asarray(weights / weights.mean())


SMOKE = Recipe(
    held_out_share=0.5,
    embedding=32, align_ladders=10, align_steps=2, align_batch=4, tune_ladders=10, tune_ladder_batch=2,
    tune_epochs=1, steady_ladders=10, steady_steps=2, steady_ladder_batches=(2, 1), tune_batch=8, crops=1,
)  # fmt: skip
"""A minute's run that shows that every part works; its model means nothing."""
