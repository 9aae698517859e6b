"""Activations of the frozen part of a tower, computed once and kept on disk while the rest is trained.

The first blocks detect edges and textures and stay as ImageNet made them. Running them once instead of in
every step makes training several times cheaper. A complete cache is used again, so that a stopped training
continues where it was.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from maclip_daemon.iqa.views import make_views
from maclip_daemon.training.alignment import Ladders
from maclip_daemon.training.degradations import Pixels
from maclip_daemon.training.training_views import crop_and_global_views, ladder_batch

_VIEWS_AT_ONCE = 10
_LADDERS_AT_ONCE = 10


@dataclass(frozen=True)
class LadderCache:
    """Ladders whose views went through the frozen blocks."""

    activations: NDArray[np.float16]
    """[N, 3, h, w, C], on disk."""
    better: NDArray[np.float32]
    worse: NDArray[np.float32]
    pairs: NDArray[np.float32]

    def batches(self, count: int, generator: np.random.Generator) -> Iterator[Ladders]:
        """Yield batches of `count` ladders drawn at random, without end."""
        while True:
            chosen = np.sort(generator.choice(len(self.activations), count, replace=False))
            stacked = np.concatenate(list(self.activations[chosen].swapaxes(0, 1)))
            yield Ladders(
                to_activations(stacked),
                torch.from_numpy(self.better[chosen]),
                torch.from_numpy(self.worse[chosen]),
                torch.from_numpy(self.pairs[chosen]),
            )


def to_activations(stored: NDArray[np.float16]) -> Tensor:
    """Return stored activations [N, h, w, C] as [N, C, h, w], fp32, channels last in memory."""
    return torch.from_numpy(stored).float().movedim(-1, -3)


@torch.inference_mode()
def run_frozen(blocks: nn.Module, views: Tensor) -> NDArray[np.float16]:
    """Return activations [N, h, w, C] of normalised views [N, 3, H, W]."""
    parts = [
        blocks(part.contiguous(memory_format=torch.channels_last))
        for part in torch.split(views, _VIEWS_AT_ONCE)
    ]
    activations: NDArray[np.float16] = torch.cat(parts).movedim(1, -1).half().numpy()
    return activations


def cache_ladders(
    blocks: nn.Module, photos: Sequence[Pixels], count: int, seed: int, path: Path, *, hard: bool = False
) -> LadderCache:
    """Return `count` ladders of the photos, made now or read from a complete `path` (`.npz`)."""
    values_path = path.with_suffix(".npy")
    if not path.is_file():
        generator = np.random.default_rng(seed)
        made: list[Ladders] = []
        values: NDArray[np.float16] | None = None
        for start in range(0, count, _LADDERS_AT_ONCE):
            ladders = ladder_batch(photos, min(_LADDERS_AT_ONCE, count - start), generator, hard=hard)
            activations = run_frozen(blocks, ladders.views)
            by_ladder = activations.reshape(3, -1, *activations.shape[1:]).swapaxes(0, 1)
            if values is None:
                values = _create(values_path, (count, *by_ladder.shape[1:]))
            values[start : start + len(by_ladder)] = by_ladder
            made.append(ladders)
        _flush(values)
        np.savez(
            path,
            better=torch.cat([ladders.better for ladders in made]).numpy(),
            worse=torch.cat([ladders.worse for ladders in made]).numpy(),
            pairs=torch.cat([ladders.pairs for ladders in made]).numpy(),
        )
    columns = np.load(path)
    return LadderCache(
        np.load(values_path, mmap_mode="r"), columns["better"], columns["worse"], columns["pairs"]
    )


def cache_random_views(
    blocks: nn.Module, photos: Sequence[Pixels], crops: int, seed: int, path: Path
) -> NDArray[np.float16]:
    """Return activations [N, crops + 3, h, w, C] of the views of `crop_and_global_views` of each photo.

    Made now, or read from a complete `path` (`.npy`).
    """
    done = path.with_suffix(".done")
    if not done.is_file():
        generator = np.random.default_rng(seed)
        values: NDArray[np.float16] | None = None
        for place, pixels in enumerate(photos):
            activations = run_frozen(blocks, crop_and_global_views(pixels, crops, generator))
            if values is None:
                values = _create(path, (len(photos), *activations.shape))
            values[place] = activations
        _flush(values)
        done.touch()
    stored: NDArray[np.float16] = np.load(path, mmap_mode="r")
    return stored


def cache_native_views(
    blocks: nn.Module, photos: Sequence[Pixels], path: Path
) -> tuple[NDArray[np.float16], list[int]]:
    """Return activations [V, h, w, C] of a third of MA-CLIP's views, and where each photo begins.

    Every third crop and the whole photo: enough to follow a training.

    Made now, or read from a complete `path` (`.npy`).
    """
    index = path.with_suffix(".json")
    if not index.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        parts = [
            run_frozen(blocks, make_views(torch.from_numpy(pixels.copy()), "crops").flip(0)[::3])
            for pixels in photos
        ]
        np.save(path, np.concatenate(parts))
        index.write_text(
            json.dumps([0, *np.cumsum([len(part) for part in parts]).tolist()]), encoding="utf-8"
        )
    return np.load(path, mmap_mode="r"), json.loads(index.read_text(encoding="utf-8"))


def _create(path: Path, shape: tuple[int, ...]) -> NDArray[np.float16]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return np.lib.format.open_memmap(path, "w+", np.float16, shape)


def _flush(values: NDArray[np.float16] | None) -> None:
    if isinstance(values, np.memmap):
        values.flush()
