"""Bursts of large photos as activations of the frozen part of a tower, kept on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from maclip_daemon.iqa.view_size import VIEW_SIZE
from maclip_daemon.iqa.views import global_view, normalise
from maclip_daemon.training.activation_cache import run_frozen, to_activations
from maclip_daemon.training.bursts.large_photos import LargePhoto, read_large, repeated, with_small
from maclip_daemon.training.bursts.reframing import TrainingBurst, frame_picture, frame_tiles, random_burst
from maclip_daemon.training.degradations import Pixels
from maclip_daemon.training.recipe import Recipe

PICTURE_EDGE = 544  # pixels; as of the protocol long-edge-544
_CROPS = 6
_STRIDE = 128


def centred_views(pixels: Pixels) -> Tensor:
    """Return [7, 3, 224, 224]: six crops on a centred grid, the whole picture last.

    Of a wider grid the middle is taken; of a narrower one crops are repeated.
    """
    height, width = pixels.shape[:2]
    columns, rows = (width - VIEW_SIZE) // _STRIDE + 1, (height - VIEW_SIZE) // _STRIDE + 1
    left = (width - VIEW_SIZE - (columns - 1) * _STRIDE) // 2
    top = (height - VIEW_SIZE - (rows - 1) * _STRIDE) // 2
    corners = [
        (top + row * _STRIDE, left + column * _STRIDE) for row in range(rows) for column in range(columns)
    ]
    skipped = max(0, len(corners) - _CROPS) // 2
    chosen = [corners[(skipped + number) % len(corners)] for number in range(_CROPS)]
    crops = [pixels[y : y + VIEW_SIZE, x : x + VIEW_SIZE] for y, x in chosen]
    whole = global_view(torch.from_numpy(pixels.copy()))
    return torch.cat([normalise(torch.from_numpy(np.stack(crops))), whole[None]])


def as_views(tiles: NDArray[np.uint8]) -> Tensor:
    """Return normalised views [N, 3, h, w] of tiles [..., h, w, 3]."""
    flat = np.array(tiles.reshape(-1, *tiles.shape[-3:]))  # a copy: caches on the disk are read-only
    return normalise(torch.from_numpy(flat)).contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class BurstBatch:
    """Frames of some bursts: four of each, two sharp ones and one fault at two strengths."""

    tiles: Tensor
    """[B · 4 · T, C, h, w], activations."""
    views: Tensor
    """[B · 4, C, h, w], activations of one view of each small picture."""
    levels: Tensor
    """[B, 4], severity 0…5."""


@dataclass(frozen=True)
class BurstCache:
    """Bursts whose views went through the frozen blocks."""

    tiles: NDArray[np.float16] | NDArray[np.uint8]
    """[B, F, T, h, w, C], on disk; pixels of scenes that are held out."""
    views: NDArray[np.float16]
    """[B, F, 7, h, w, C], on disk."""
    levels: NDArray[np.float32]
    """[B, F]; frames 0 and 1 are sharp, then pairs of one fault, the weaker first."""
    scenes: NDArray[np.str_]
    """[B]"""

    def batches(self, count: int, tiles: int, generator: np.random.Generator) -> Iterator[BurstBatch]:
        """Yield batches of `count` bursts, `tiles` tiles of each frame, without end."""
        pairs = (self.levels.shape[1] - 2) // 2
        while True:
            parts: list[NDArray[Any]] = []
            views: list[NDArray[np.float16]] = []
            levels: list[NDArray[np.float32]] = []
            for burst in generator.choice(len(self.tiles), count, replace=count > len(self.tiles)):
                pair = int(generator.integers(pairs))
                frames = [0, 1, 2 + 2 * pair, 3 + 2 * pair]
                cells = np.sort(generator.choice(self.tiles.shape[2], tiles, replace=False))
                # The whole picture in half of the batches: exposure shows there.
                view = 6 if generator.random() < 0.5 else int(generator.integers(6))
                for frame in frames:
                    parts.append(self.tiles[burst, frame][cells])
                    views.append(self.views[burst, frame, view])
                levels.append(self.levels[burst, frames])
            yield BurstBatch(
                to_activations(np.concatenate(parts)),
                to_activations(np.stack(views)),
                torch.from_numpy(np.stack(levels)),
            )


def cache_bursts(
    blocks: nn.Module,
    photos: Sequence[LargePhoto],
    recipe: Recipe,
    seed: int,
    path: Path,
    *,
    as_pixels: bool = False,
) -> BurstCache:
    """Return bursts of each photo, made now or read from a complete `path` (`.npz`).

    `as_pixels`: one burst of each, all eight tiles of its frames as bytes. Else `recipe.bursts_each`, and
    activations of some tiles.
    """
    tiles_path, views_path = path.with_suffix(".tiles.npy"), path.with_suffix(".views.npy")
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        generator, times = np.random.default_rng(seed), 1 if as_pixels else recipe.bursts_each
        tiles = views = None
        levels, scenes = [], []
        for number, photo in repeated(photos, times):
            burst = random_burst(generator, recipe.burst_pairs)
            cells = None
            if not as_pixels:
                cells = np.sort(generator.choice(8, recipe.burst_tiles, replace=False)).tolist()
            made = _burst_parts(blocks, photo, burst, cells, float(generator.uniform(0.5, 1.0)))
            if tiles is None or views is None:
                count = len(photos) * times
                tiles, views = (
                    np.lib.format.open_memmap(place, "w+", part.dtype, (count, *part.shape))
                    for place, part in zip((tiles_path, views_path), made, strict=True)
                )
            tiles[number], views[number] = made
            levels.append(burst.levels)
            scenes.append(photo.scene)
        assert isinstance(tiles, np.memmap)
        assert isinstance(views, np.memmap)
        tiles.flush()
        views.flush()
        np.savez(path, levels=np.array(levels, np.float32), scenes=np.array(scenes))
    columns = np.load(path)
    return BurstCache(
        np.load(tiles_path, mmap_mode="r"),
        np.load(views_path, mmap_mode="r"),
        columns["levels"],
        columns["scenes"],
    )


def _burst_parts(
    blocks: nn.Module, photo: LargePhoto, burst: TrainingBurst, cells: Sequence[int] | None, reduction: float
) -> tuple[NDArray[Any], NDArray[np.float16]]:
    """Return tiles [F, T, h, w, C] and activations of views [F, 7, h, w, C] of one burst.

    Activations of the tiles in `cells`; None: the pixels of all eight. `reduction` makes other resolutions of
    the same photo; photos stay large enough for eight tiles.
    """
    image = read_large(photo)
    factor = max(reduction, 2400 / max(image.size))
    if factor < 1:
        size = round(image.width * factor), round(image.height * factor)
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2)
    image, small = with_small(image)
    tiles, views = [], []
    for frame in burst.frames:
        pixels = frame_tiles(image, frame, range(8) if cells is None else cells)
        tiles.append(pixels if cells is None else run_frozen(blocks, normalise(torch.from_numpy(pixels))))
        views.append(run_frozen(blocks, centred_views(frame_picture(small, frame, PICTURE_EDGE))))
    return np.stack(tiles), np.stack(views)
