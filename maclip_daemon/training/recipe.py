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
    held_out_share: float = 0.1
    """Of the photos of each subset, whole scenes."""
    embedding: int = 256
    frozen_blocks: int = 4
    """Blocks of the trunk that stay as ImageNet made them; their activations are computed once."""
    good_subset: str = "ss03"
    """Photos of this subset are the good ones that the first stage worsens; their opinions are not used."""
    subset_shares: tuple[tuple[str, float], ...] = (("ss01", 1), ("ss02", 1), ("ss03", 4))
    """How many photos of each subset there are in BIQ2021 as a whole, as a ratio."""
    good_ladders: int = 400
    """Ladders of good photos, for the first stage."""
    ladders: int = 800
    """Ladders of all photos, for the second stage; half of them hard."""
    bursts_each: int = 1
    """Bursts of each large photo."""
    burst_pairs: int = 3
    """Faults at two strengths in each burst, beside two sharp frames."""
    burst_tiles: int = 4
    """Of the eight tiles of a frame, drawn anew for each burst."""
    crops: int = 1
    """Random crops of each rated photo, beside its global view and two grey ones."""
    align_steps: int = 60
    """Few and gentle: after more the model knows the degradations better and real photos worse."""
    align_batch: int = 14
    align_tower_rate: float = 5e-5
    align_head_rate: float = 2e-3
    tune_steps: int = 850
    tune_batch: int = 32
    tune_grey: int = 4
    """Photos of the batch that come in colour and in grey."""
    tune_ladders: int = 6
    tune_bursts: int = 3
    tune_tiles: int = 2
    """Tiles of each frame of a burst."""
    tune_tower_rate: float = 3e-4
    tune_head_rate: float = 1e-3
    ladder_weight: float = 0.8
    burst_weight: float = 1.0
    grey_weight: float = 2.0
    finish_steps: int = 1000
    """Of the last layers alone, from views that went through the rest once."""
    finish_batch: int = 64
    finish_views: int = 3
    """Views of each photo of the batch."""
    finish_crops: int = 4
    """Crops of each photo to draw them from, beside the whole."""
    finish_grey: int = 16
    """Photos of the batch that come in colour and in grey."""
    finish_grey_each: int = 6
    """Every so many photos have a grey copy."""
    finish_ladders: int = 16
    finish_tiles: int = 384
    finish_rate: float = 3e-4
    finish_grey_weight: float = 0.3
    finish_ladder_weight: float = 0.2
    finish_tile_weight: float = 10.0
    tile_bursts_each: int = 2
    """Bursts of each large photo for the tower for tiles, each at places of its own."""
    tile_compositions: int = 700
    """Bursts of four small photos side by side, for the same."""
    tile_steps: int = 2600
    tile_batch: int = 10
    """Bursts of four frames of four tiles."""
    tile_side: int = 144
    """Pixels of a tile that a step shows: more scenes in the same time."""
    tile_rate: float = 2e-3
    blocks_cost: float = 1e-3
    """Of the score of a photo with tiles, for each per cent by which the borders of JPEG's blocks stand out
    of them; counted from `luma_steps.CLEAN_TILES` to `MOST_BLOCKS`. Not fitted: bursts have too few such."""

    def weights(self, subsets: NDArray[np.str_]) -> NDArray[np.float64]:
        """Return how many photos of BIQ2021 each photo represents, in proportion; their mean is 1."""
        shares = dict(self.subset_shares)
        sizes = {subset: int((subsets == subset).sum()) for subset in set(subsets)}
        weights = np.array([shares.get(str(subset), 1.0) / sizes[subset] for subset in subsets])
        return np.asarray(weights / weights.mean())


SMOKE = Recipe(
    held_out_share=0.4, embedding=32, good_ladders=10, ladders=10, bursts_each=1, burst_pairs=1, crops=1,
    align_steps=2, align_batch=4, tune_steps=2, burst_tiles=2, tune_batch=6, tune_grey=2, tune_ladders=2,
    tune_bursts=1, tune_tiles=1, finish_steps=2, finish_batch=4, finish_grey=2, finish_ladders=2,
    tile_bursts_each=1, tile_compositions=1, tile_steps=2, tile_batch=1,
    tile_side=96,
)  # fmt: skip
"""A minute's run that shows that every part works; its model means nothing."""
