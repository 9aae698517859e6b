"""The grid of tiles: which parts of a photo are judged at half its own size. Needs no torch.

At 544 pixels the faults that photographers cull for are gone, and half size shows them (docs/iqa.md has the
figures). The grid is fixed: it does not follow what the photo shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from maclip_daemon.iqa.view_size import VIEW_SIZE, Box

TILE_SCALE = 0.5  # of the photo's own size; a JPEG is decoded at exactly this scale without resampling
SLACK = 0.04  # of the scale; previews of RAWs are a little smaller than the sensor
_WIDEST_GRID = 2.5  # columns over rows; a grid of a photo is not a strip


@dataclass(frozen=True)
class TileGrid:
    """Where the tiles of one photo lie."""

    scale: float
    """Of the photo's own size, at which the tiles show it; at most 1."""
    width: int
    """Pixels of the photo at that scale."""
    height: int
    boxes: tuple[Box, ...]
    """Row by row, in pixels of the photo at that scale."""

    def stretch(self, width: int, height: int) -> float:
        """Return how many times the tiles' scale a picture of the photo has; below 1 it is too small."""
        return min(width / self.width, height / self.height)


def is_grid(count: int) -> bool:
    """Return whether so many tiles make a grid that fits photos: 2, 4, 6, 8, 9, 12, …"""
    columns, rows = _columns_and_rows(count)
    return count > 1 and columns / rows <= _WIDEST_GRID


def tile_grid(width: int, height: int, count: int) -> TileGrid | None:
    """Return the grid of `count` tiles on an upright photo of this size, each in the middle of its cell.

    The scale is one half. A photo so small that tiles would overlap there is shown at the scale at which they
    just fit side by side. None for a photo that would have to be enlarged for that.
    """
    columns, rows = _columns_and_rows(count)
    if height > width:
        columns, rows = rows, columns
    scale = max(TILE_SCALE, columns * VIEW_SIZE / width, rows * VIEW_SIZE / height)
    if scale > 1.0:
        return None
    across, down = math.ceil(width * scale - 1e-9), math.ceil(height * scale - 1e-9)
    boxes = tuple(
        Box(
            round((column + 0.5) * across / columns - VIEW_SIZE / 2),
            round((row + 0.5) * down / rows - VIEW_SIZE / 2),
            VIEW_SIZE,
            VIEW_SIZE,
            "tile",
        )
        for row in range(rows)
        for column in range(columns)
    )
    return TileGrid(scale, across, down, boxes)


def _columns_and_rows(count: int) -> tuple[int, int]:
    """Return the grid of so many tiles that is nearest to a square, for landscape."""
    rows = next(rows for rows in range(math.isqrt(count), 0, -1) if count % rows == 0)
    return count // rows, rows
