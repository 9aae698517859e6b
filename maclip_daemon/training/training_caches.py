"""Training caches: every view that the training sees, run through the frozen blocks once.

`prepare` makes them; the training reads them. Photos and bursts are made apart, so that two processes can.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

from maclip_daemon.training.activation_cache import (
    LadderCache,
    cache_ladders,
    cache_native_views,
    cache_random_views,
)
from maclip_daemon.training.bursts.burst_cache import BurstCache, cache_bursts
from maclip_daemon.training.bursts.large_photos import LargePhoto
from maclip_daemon.training.opinions.opinion_tuning import RatedPhotos
from maclip_daemon.training.recipe import Recipe
from maclip_daemon.training.tiles.tile_bursts import TileBursts, cache_composed_tiles, cache_large_tiles

Part = Literal["photos", "bursts"]


@dataclass(frozen=True)
class TrainingPhotos:
    """All photos of a training, split by scene."""

    learned: RatedPhotos
    held_out: RatedPhotos
    large: Sequence[LargePhoto]
    """To learn from."""
    large_held_out: Sequence[LargePhoto]


@dataclass(frozen=True)
class TrainingCaches:
    """Makes, or reads, the caches of a training in one work folder."""

    blocks: nn.Module
    """The frozen blocks."""
    photos: TrainingPhotos
    work: Path
    recipe: Recipe

    def rated_views(self) -> NDArray[np.float16]:
        """Return activations of random views of the photos with opinions, [N, crops + 3, h, w, C]."""
        recipe = self.recipe
        return cache_random_views(
            self.blocks, self.photos.learned.photos, recipe.crops, recipe.seed + 12, self.work / "rated.npy"
        )

    def held_out_views(self) -> tuple[NDArray[np.float16], list[int]]:
        """Return activations of all views of the held-out photos, and where each photo begins."""
        return cache_native_views(self.blocks, self.photos.held_out.photos, self.work / "valid.npy")

    def good_ladders(self) -> LadderCache:
        """Return ladders of good photos."""
        learned, recipe = self.photos.learned, self.recipe
        good = learned.chosen(learned.subsets == recipe.good_subset)
        return cache_ladders(
            self.blocks, good.photos, recipe.good_ladders, recipe.seed + 11, self.work / "good.npz"
        )

    def ladders(self, *, hard: bool) -> LadderCache:
        """Return ladders of all photos, ordinary or hard ones."""
        name, seed = ("hard.npz", 14) if hard else ("all.npz", 13)
        return cache_ladders(
            self.blocks,
            self.photos.learned.photos,
            self.recipe.ladders // 2,
            self.recipe.seed + seed,
            self.work / name,
            hard=hard,
        )

    def bursts(self) -> BurstCache | None:
        """Return bursts of the large photos to learn from; None where there are none."""
        return self._bursts(self.photos.large, 15, "bursts.npz")

    def held_out_bursts(self) -> BurstCache | None:
        """Return one burst of each held-out large photo; None where there are none."""
        return self._bursts(self.photos.large_held_out, 16, "valid-frames.npz", as_pixels=True)

    def _bursts(
        self, photos: Sequence[LargePhoto], seed: int, name: str, *, as_pixels: bool = False
    ) -> BurstCache | None:
        if not photos:
            return None
        seed += self.recipe.seed
        return cache_bursts(self.blocks, photos, self.recipe, seed, self.work / name, as_pixels=as_pixels)

    def large_tiles(self) -> TileBursts:
        """Return bursts of tiles of the large photos to learn from."""
        return cache_large_tiles(self.photos.large, self.recipe, self.work / "large-tiles.npz")

    def composed_tiles(self) -> TileBursts:
        """Return bursts of tiles of photos with opinions, side by side."""
        return cache_composed_tiles(self.photos.learned, self.recipe, self.work / "composed-tiles.npz")

    def prepare(self, part: Part, log: Callable[[str], None]) -> None:
        """Make the caches of one part; complete ones are left as they are."""
        started = time.monotonic()
        makers: dict[Part, list[tuple[str, Callable[[], object]]]] = {
            "bursts": [
                ("bursts of large photos", self.bursts),
                ("bursts of held-out large photos", self.held_out_bursts),
                ("tiles of large photos", self.large_tiles),
            ],
            "photos": [
                ("views of photos with opinions", self.rated_views),
                ("views of held-out photos", self.held_out_views),
                ("ladders of good photos", self.good_ladders),
                ("ladders of all photos", lambda: self.ladders(hard=False)),
                ("hard ladders", lambda: self.ladders(hard=True)),
                ("tiles of photos with opinions", self.composed_tiles),
            ],
        }
        for name, make in makers[part]:
            make()
            log(f"prepared: {name}, {time.monotonic() - started:.0f} s")
