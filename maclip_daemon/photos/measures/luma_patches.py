"""The brightness of a picture, and the patches in which it is measured.

The picture is divided into cells. In each cell the 64 pixels with the most change are its patch: what one
looks at to judge focus. The patches bound the cost, whatever the size of the photo.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maclip_daemon.iqa.luma_steps import apart

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
    inner = change[top : top + rows * cell, left : left + columns * cell]
    busiest = _places(_window_sums(inner, side), cell, cell - side + 1, np.argmax)
    calmest = _places(inner, cell, cell, np.argmin)
    corners, flat_corners = ((np.array((top, left)) + places) * _BLOCK for places in (busiest, calmest))
    return LumaPatches(np.asarray(grey), scale, corners, flat_corners, rows, columns)


def halved(picture: LumaPatches) -> LumaPatches | None:
    """Return the patches of a picture at half its size; None where that is under 128 pixels."""
    return patches_of(Image.fromarray(picture.luma).reduce(2), picture.scale / 2)


def _places(values: NDArray[np.int32], cell: int, reach: int, choose: Callable[..., Any]) -> NDArray[np.intp]:
    """Return row and column of the first value that `choose` takes in each cell [N, 2], row by row.

    `cell`: the distance between cells. `reach`: the side of the part of a cell that counts.
    """
    cells = np.lib.stride_tricks.sliding_window_view(values, (reach, reach))[::cell, ::cell]
    rows, columns = cells.shape[:2]
    chosen = choose(cells.reshape(rows * columns, reach * reach), axis=1)
    corners = np.indices((rows, columns)).reshape(2, -1) * cell
    found: NDArray[np.intp] = (corners + np.divmod(chosen, reach)).T
    return found


def _window_sums(values: NDArray[np.int32], side: int) -> NDArray[np.int32]:
    """Return the sums of all windows of this side."""
    for _ in range(2):  # down, then across
        lines = values.shape[0] - side + 1
        values = sum((values[step : step + lines] for step in range(1, side)), values[:lines]).T
    return values


def _change(half: Luma) -> NDArray[np.int32]:
    """Return the summed differences of neighbours in blocks of 8 pixels of the picture at half size."""
    side = _BLOCK // 2
    rows, columns = (half.shape[0] - 1) // side, (half.shape[1] - 1) // side
    pixels = half[: rows * side + 1, : columns * side + 1]
    across = apart(pixels[:-1, 1:], pixels[:-1, :-1])
    down = apart(pixels[1:, :-1], pixels[:-1, :-1])
    change = np.add(across, down, dtype=np.uint16).reshape(rows, side, columns * side)
    lines = change.sum(1, dtype=np.uint16)  # at most 16 · 255
    found: NDArray[np.int32] = lines.reshape(rows, columns, side).sum(2, dtype=np.int32)
    return found


def _cut(pixels: Luma, corners: NDArray[np.intp], side: int) -> NDArray[np.uint8]:
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (side, side))
    top, left = np.minimum(corners, np.array(windows.shape[:2]) - 1).T
    found: NDArray[np.uint8] = windows[top, left]
    return found
