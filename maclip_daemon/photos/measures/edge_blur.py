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
    count, side = patches.shape[:2]
    # Patches side by side as one picture: loops over the 64 pixels of a row are too short to be fast. What
    # the steps below add up across patches is left out at the end; the last patch is empty.
    picture = np.zeros((side, count + 1, side), np.int16)
    picture[:, :count] = patches.transpose(1, 0, 2)
    pixels = picture.reshape(side, -1)
    found = []
    for along, across in zip(DIRECTIONS, _ACROSS, strict=True):
        gradient = _change(_add(_add(pixels, across), across), along)
        blurred = gradient
        for _ in range(_AGAIN):
            blurred = _add(blurred, along)
        columns = side - 2 * abs(across[1]) - abs(along[1])
        before = _energy(gradient, (count, side, columns), noise**2 * _NOISE_GAINS[0], 4)
        columns -= _AGAIN * abs(along[1])
        after = _energy(blurred, (count, side, columns), noise**2 * _NOISE_GAINS[1], 64)
        found.append((before, after))
    return EdgeEnergy(*np.maximum(found, 0).transpose(1, 2, 0))


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
    """Return the pixels [H, W] that have a neighbour one step further, and those neighbours."""
    down, right = step
    height, width = pixels.shape
    rows, columns = height - abs(down), width - abs(right)
    top, left = max(0, -down), max(0, -right)
    one = pixels[top : top + rows, left : left + columns]
    other = pixels[top + down : top + down + rows, left + right : left + right + columns]
    return one, other


def _energy(change: Codes, layout: tuple[int, int, int], noise: float, gain: int) -> NDArray[np.float64]:
    """Return the energy of each patch [N], that of the noise taken away.

    `layout`: patches, their distance, and how many columns of each count. `noise`: energy of one pixel.
    `gain`: how many times the change was added up.
    """
    count, side, columns = layout
    light = change.astype(np.float32)
    np.square(light, out=light)
    by_column = light.sum(0)[: count * side].reshape(count, side)[:, :columns]
    found: NDArray[np.float64] = by_column.sum(1, dtype=np.float64) / gain**2
    return found - noise * len(change) * columns
