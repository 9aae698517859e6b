"""Bursts of tiles as pixels on disk: of large photos, and of small ones side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maclip_daemon.iqa.view_size import VIEW_SIZE
from maclip_daemon.training.bursts.burst_cache import as_views
from maclip_daemon.training.bursts.large_photos import LargePhoto, read_large
from maclip_daemon.training.opinions.opinion_tuning import RatedPhotos
from maclip_daemon.training.recipe import Recipe
from maclip_daemon.training.tiles.tile_faults import PAIRS, PLACES, MadeBurst, composed_burst, large_burst


@dataclass(frozen=True)
class TileBatch:
    """Four frames of some bursts: two sharp ones, and one fault at two strengths."""

    tiles: Tensor
    """[B · 4 · T, 3, h, w], normalised, channels last in memory."""
    levels: Tensor
    """[B, 4], severity 0…5."""


@dataclass(frozen=True)
class TileBursts:
    """Bursts of tiles."""

    tiles: NDArray[np.uint8]
    """[B, F, T, 224, 224, 3], on disk."""
    levels: NDArray[np.float32]
    """[B, F]; frames 0 and 1 are sharp, then pairs of one fault, the weaker first."""

    def batches(self, count: int, side: int, generator: np.random.Generator) -> Iterator[TileBatch]:
        """Yield batches of `count` bursts drawn at random, without end.

        `side`: pixels of the part of each tile that is shown, the same in all tiles of a batch.
        """
        while True:
            top, left = (int(place) for place in generator.integers(0, VIEW_SIZE - side + 1, 2))
            tiles, levels = [], []
            for burst in generator.choice(len(self.levels), count):
                weak = 2 + 2 * int(generator.integers(PAIRS))
                frames = [0, 1, weak, weak + 1]
                shown = self.tiles[burst][frames]
                tiles.append(shown[:, :, top : top + side, left : left + side])
                levels.append(self.levels[burst][frames])
            yield TileBatch(as_views(np.stack(tiles)), torch.from_numpy(np.stack(levels)))


def cache_large_tiles(photos: Sequence[LargePhoto], recipe: Recipe, path: Path) -> TileBursts:
    """Return bursts of each large photo, made now or read from a complete `path` (`.npz`)."""
    generator = np.random.default_rng(recipe.seed + 1)

    def made() -> Iterator[MadeBurst]:
        for photo in photos:
            image = read_large(photo)
            for _ in range(recipe.tile_bursts_each):
                yield large_burst(image, generator)

    return _cached(made(), len(photos) * recipe.tile_bursts_each, path)


def cache_composed_tiles(rated: RatedPhotos, recipe: Recipe, path: Path) -> TileBursts:
    """Return bursts of photos with opinions, three good ones and any one in each; made now or read."""
    generator = np.random.default_rng(recipe.seed + 1)
    good, every = np.flatnonzero(rated.subsets == recipe.good_subset), np.arange(len(rated.names))
    generator.shuffle(good)
    generator.shuffle(every)
    count = min(recipe.tile_compositions, len(good) // (PLACES - 1), len(every))
    chosen = np.concatenate(
        [good[: count * (PLACES - 1)].reshape(count, PLACES - 1), every[:count, None]], axis=1
    )

    def made() -> Iterator[MadeBurst]:
        for places in chosen:
            yield composed_burst([rated.photos[int(place)] for place in places], generator)

    return _cached(made(), count, path)


def _cached(made: Iterator[MadeBurst], count: int, path: Path) -> TileBursts:
    tiles_path = path.with_suffix(".npy")
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        levels: list[tuple[float, ...]] = []
        stored: NDArray[np.uint8] | None = None
        for number, (tiles, burst) in enumerate(made):
            if stored is None:
                stored = np.lib.format.open_memmap(tiles_path, "w+", np.uint8, (count, *tiles.shape))
            stored[number] = tiles
            levels.append(burst.levels)
        assert isinstance(stored, np.memmap)
        stored.flush()
        np.savez(path, levels=np.array(levels, np.float32))
    return TileBursts(np.load(tiles_path, mmap_mode="r"), np.load(path)["levels"])
