"""How blurred edges are, patch by patch and direction by direction.

A step that is blurred by a Gaussian of standard deviation σ has the gradient energy A²/(2√π·σ). Blurring it
again by a known amount changes that by a factor that does not depend on its height A: from the ratio of both
energies follows σ. (The principle of S. Zhuo and T. Sim, *Defocus map estimation from a single image*,
Pattern Recognition 44, 2011, with energies in place of single gradients.) Each direction is blurred again
along itself only, so that a movement along one does not show in the others. Noise adds a known energy, which
is taken away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int16]
"""Sums of at most 64 grey levels; loops over whole numbers of two bytes are the fastest."""

DIRECTIONS = ((0, 1), (-1, 0), (-1, 1), (-1, -1))
"""Steps in rows and columns: to the right, up, and along the rising and the falling diagonal."""
_ACROSS = ((1, 0), (0, 1), (1, 1), (-1, 1))
"""Steps across these: there [1 2 1] keeps the edge and removes noise."""
_AGAIN = 4  # times [1 1]: [1 4 6 4 1]
_NOISE_GAINS = (0.375 * 2.0, 0.375 * 28 / 256)  # energy of one pixel of white noise, before and after
# Blur in pixels from a ratio: a·(ratio − 1)^b, fitted on ladders of blurred photos.
_SCALES, _POWERS = np.array([0.64, 0.64, 1.27, 1.27]), np.array([-0.95, -0.95, -1.1, -1.1])
LARGEST = 5.0
"""Pixels; a larger blur is measured as this."""


@dataclass(frozen=True)
class EdgeEnergy:
    """The energy of the gradients of patches, by direction, in squared grey levels [N, 4]."""

    before: NDArray[np.float64]
    after: NDArray[np.float64]
    """After blurring again."""


def energy_of(patches: NDArray[np.uint8], noise: float) -> EdgeEnergy:
    """Return the energies of patches [N, S, S]. `noise`: its standard deviation in grey levels."""
    # Patches side by side in memory: loops over the 64 pixels of a row are too short to be fast.
    pixels = np.ascontiguousarray(patches.transpose(1, 2, 0)).astype(np.int16)
    before, after = [], []
    for along, across in zip(DIRECTIONS, _ACROSS, strict=True):
        calm = _add(_add(pixels, across), across)
        again = calm
        for _ in range(_AGAIN):
            again = _add(again, along)
        gradient, blurred = _change(calm, along), _change(again, along)
        before.append(_energy(gradient) / 4**2 - _NOISE_GAINS[0] * noise**2 * gradient[..., 0].size)
        after.append(_energy(blurred) / 64**2 - _NOISE_GAINS[1] * noise**2 * blurred[..., 0].size)
    return EdgeEnergy(np.maximum(np.stack(before, 1), 0), np.maximum(np.stack(after, 1), 0))


def ratio_of(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return before / after, at least 1."""
    found: NDArray[np.float64] = np.maximum(before / np.maximum(after, 1e-6), 1.0)
    return found


def blur_of(ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard deviation of the blur in pixels for ratios by direction [..., 4]."""
    found: NDArray[np.float64] = np.minimum(_SCALES * np.maximum(ratio - 1, 1e-3) ** _POWERS, LARGEST)
    return found


def _add(pixels: Codes, step: tuple[int, int]) -> Codes:
    one, other = _neighbours(pixels, step)
    return one + other


def _change(pixels: Codes, step: tuple[int, int]) -> Codes:
    one, other = _neighbours(pixels, step)
    return one - other


def _neighbours(pixels: Codes, step: tuple[int, int]) -> tuple[Codes, Codes]:
    """Return the pixels [S, S, N] that have a neighbour one step further, and those neighbours."""
    down, right = step
    height, width = pixels.shape[:2]
    rows, columns = height - abs(down), width - abs(right)
    top, left = max(0, -down), max(0, -right)
    one = pixels[top : top + rows, left : left + columns]
    other = pixels[top + down : top + down + rows, left + right : left + right + columns]
    return one, other


def _energy(change: Codes) -> NDArray[np.float64]:
    light = change.astype(np.float32)
    np.square(light, out=light)
    found: NDArray[np.float64] = light.sum(1).sum(0, dtype=np.float64)
    return found
