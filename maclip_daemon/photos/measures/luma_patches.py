"""The brightness of a picture, and the patches in which it is measured.

The picture is divided into cells. In each cell the 64 pixels with the most change are its patch: what one
looks at to judge focus. The patches bound the cost, whatever the size of the photo.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Luma: TypeAlias = "NDArray[np.uint8]"
"""Brightness of each pixel, 0 to 255 [H, W]."""

PATCH = 64  # pixels of a side, at the size that is measured
SMALLEST_SIDE = 2 * PATCH  # pixels; a smaller picture has too few patches to know anything
CELLS_ALONG = 20  # along the long edge
_MOST_CELLS = 64  # rows or columns; the rims of longer panoramas are left out
_BLOCK = 16  # pixels; patches begin at multiples of it
_LONGEST = 5000  # pixels; more are measured at half size


@dataclass(frozen=True)
class LumaPatches:
    """The brightness of a picture, and where its patches are."""

    luma: Luma
    scale: float
    """Pixels of the picture for each pixel of the photo itself, at most 1."""
    corners: NDArray[np.intp]
    """Top and left of each patch, in pixels [N, 2], row by row of cells."""
    flat_corners: NDArray[np.intp]
    """The same for the calmest `_BLOCK` pixels of each cell."""
    rows: int
    """Cells from top to bottom."""
    columns: int
    """Cells from left to right."""

    def patches(self) -> NDArray[np.uint8]:
        """Return the patches [N, 64, 64]."""
        return _cut(self.luma, self.corners, PATCH)

    def flat_patches(self) -> NDArray[np.uint8]:
        """Return the calmest part of each cell [N, 16, 16]."""
        return _cut(self.luma, self.flat_corners, _BLOCK)


def patches_of(image: Image.Image, scale: float) -> LumaPatches | None:
    """Return the patches of an upright RGB image; None for one under 128 pixels.

    `scale`: pixels of the image for each pixel of the photo itself.
    """
    grey = image.convert("L")
    while max(grey.size) > _LONGEST and scale > 0.5:
        grey, scale = grey.reduce(2), scale / 2
    if min(grey.size) < SMALLEST_SIDE:
        return None
    change = _change(np.asarray(grey.reduce(2)))
    # Of a panorama, the short side decides.
    cell = max(PATCH, min(max(grey.size) // CELLS_ALONG, min(grey.size) - _BLOCK)) // _BLOCK
    rows, columns = (min(_MOST_CELLS, side // cell) for side in change.shape)
    # Cells are centred: what is left over lies at all rims.
    top, left = (change.shape[0] - rows * cell) // 2, (change.shape[1] - columns * cell) // 2
    side = PATCH // _BLOCK
    windows = np.lib.stride_tricks.sliding_window_view(change, (side, side)).sum((2, 3))
    corners, flat_corners = [], []
    for row in range(top, top + rows * cell, cell):
        for column in range(left, left + columns * cell, cell):
            reach = cell - side + 1
            within = windows[row : row + reach, column : column + reach]
            corners.append(_place(within.argmax(), within.shape[1], row, column))
            blocks = change[row : row + cell, column : column + cell]
            flat_corners.append(_place(blocks.argmin(), blocks.shape[1], row, column))
    return LumaPatches(np.asarray(grey), scale, np.array(corners), np.array(flat_corners), rows, columns)


def _place(index: np.intp, width: int, row: int, column: int) -> tuple[int, int]:
    down, across = divmod(int(index), width)
    return (row + down) * _BLOCK, (column + across) * _BLOCK


def _change(half: Luma) -> NDArray[np.float32]:
    """Return the summed differences of neighbours in blocks of 8 pixels of the picture at half size."""
    side = _BLOCK // 2
    rows, columns = (half.shape[0] - 1) // side, (half.shape[1] - 1) // side
    pixels = half[: rows * side + 1, : columns * side + 1].astype(np.int16)
    change = np.abs(pixels[:-1, 1:] - pixels[:-1, :-1]) + np.abs(pixels[1:, :-1] - pixels[:-1, :-1])
    down = np.add.reduceat(change, np.arange(0, rows * side, side), axis=0, dtype=np.int32)
    across = np.add.reduceat(down, np.arange(0, columns * side, side), axis=1)
    return across.astype(np.float32)


def _cut(pixels: Luma, corners: NDArray[np.intp], side: int) -> NDArray[np.uint8]:
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (side, side))
    top, left = np.minimum(corners, np.array(windows.shape[:2]) - 1).T
    found: NDArray[np.uint8] = windows[top, left]
    return found
