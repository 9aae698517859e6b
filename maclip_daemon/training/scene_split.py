"""Scene split: near-twins stay together, so that no scene is both learned from and held out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from maclip_daemon.training.degradations import Pixels

_THUMBNAIL = 24  # pixels
_TWIN_CORRELATION = 0.9
_ROWS_AT_ONCE = 1000
_SMALL_SCENE = 4  # photos; so small a group may always be held out


def thumbnail(pixels: Pixels) -> NDArray[np.float32]:
    """Return a 24×24 colour thumbnail as a vector of length 1, its mean taken away."""
    small = Image.fromarray(pixels).resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
    vector = np.asarray(small, dtype=np.float32).ravel()
    vector = vector - vector.mean()
    return np.asarray(vector / (np.linalg.norm(vector) + 1e-6))


def scenes_of(thumbnails: Sequence[NDArray[np.float32]]) -> NDArray[np.int32]:
    """Return a scene number for each photo: photos whose thumbnails correlate above 0.9 share theirs."""
    vectors = np.stack(thumbnails)
    pairs = []
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        first, second = np.nonzero(vectors[start : start + _ROWS_AT_ONCE] @ vectors.T > _TWIN_CORRELATION)
        pairs.append((first + start, second))
    rows, columns = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(vectors), len(vectors)))
    scenes: NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return scenes


def held_out_scenes(
    scenes: NDArray[np.int32], subsets: NDArray[np.str_], share: float, seed: int
) -> NDArray[np.bool_]:
    """Return a mask of the held-out photos: whole scenes, about this share of each subset.

    A scene is of the subset of its first photo. Very large groups, chains of like photos, are learned from.
    """
    generator = np.random.default_rng(seed)
    mask = np.zeros(len(scenes), dtype=bool)
    for subset in sorted(set(subsets)):
        wanted = share * (subsets == subset).sum()
        numbers, first, sizes = np.unique(scenes, return_index=True, return_counts=True)
        mine = np.flatnonzero((subsets[first] == subset) & (sizes <= max(_SMALL_SCENE, wanted / 10)))
        generator.shuffle(mine)
        cut = int(np.searchsorted(np.cumsum(sizes[mine]), wanted)) + 1
        mask |= np.isin(scenes, numbers[mine[:cut]])
    return mask
