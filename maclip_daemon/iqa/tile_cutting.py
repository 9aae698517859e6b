"""Tiles are cut out of a decoded picture of a photo. Needs no torch: decoder processes cut them."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from maclip_daemon.iqa.facing import is_mirrored
from maclip_daemon.iqa.protocols import Pixels
from maclip_daemon.iqa.tile_grid import SLACK, TileGrid
from maclip_daemon.iqa.view_size import VIEW_SIZE

# Nearest to what a JPEG decoded at half its size shows (docs/performance.md): a PNG is judged as its JPEG is.
_FILTER = Image.Resampling.LANCZOS


def cut_tiles(image: Image.Image, grid: TileGrid) -> Image.Image | None:
    """Return the tiles below each other, 224 × 224·N pixels in the image's own mode.

    `image`: the photo at any scale. None when that is below the scale of the tiles: they are never enlarged.
    Only an image at another scale is resampled. Each tile faces the middle (`iqa.facing`).
    """
    stretch = grid.stretch(*image.size)
    if stretch < 1 - SLACK:
        return None
    strip = Image.new(image.mode, (VIEW_SIZE, VIEW_SIZE * len(grid.boxes)))
    side = VIEW_SIZE if stretch <= 1 + SLACK else VIEW_SIZE * stretch
    for place, box in enumerate(grid.boxes):
        centre_x = (box.x + VIEW_SIZE / 2) * image.width / grid.width
        centre_y = (box.y + VIEW_SIZE / 2) * image.height / grid.height
        left = min(max(0.0, centre_x - side / 2), image.width - side)
        top = min(max(0.0, centre_y - side / 2), image.height - side)
        if side == VIEW_SIZE:
            left, top = round(left), round(top)
            tile = image.crop((left, top, left + VIEW_SIZE, top + VIEW_SIZE))
        else:
            corners = (left, top, min(left + side, image.width), min(top + side, image.height))
            tile = image.resize((VIEW_SIZE, VIEW_SIZE), _FILTER, box=corners)
        off_middle = 2 * box.x + VIEW_SIZE - grid.width  # a pixel at most is rounding
        strip.paste(_facing(tile, 0 if abs(off_middle) <= 1 else off_middle), (0, VIEW_SIZE * place))
    return strip


def _facing(tile: Image.Image, side: int) -> Image.Image:
    """Return the tile as it is, or mirrored where `iqa.facing` says so. `side`: as there."""
    return ImageOps.mirror(tile) if is_mirrored(side, lambda: _is_brighter_right(tile)) else tile


def _is_brighter_right(tile: Image.Image) -> bool:
    values, half = np.asarray(tile), tile.width // 2
    return bool(values[:, half:].sum(dtype=np.int64) > values[:, :half].sum(dtype=np.int64))


def stacked(strip: Image.Image) -> Pixels:
    """Return an RGB strip of `cut_tiles` as [N, 224, 224, 3]."""
    return np.array(strip).reshape(-1, VIEW_SIZE, VIEW_SIZE, 3)
