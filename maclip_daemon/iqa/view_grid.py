"""The grid of views: which part of a photo each view shows. Needs no torch: heat maps are drawn from it.

MA-CLIP (arXiv 2511.09948, section "Implementation details" and the published code) unfolds crops of 224
pixels with a stride of 128, without padding: a photo's right and lower rim may lie outside every crop. A
centred grid leaves out as much on both sides. Then comes the whole photo, reduced, and then its tiles.
"""

from __future__ import annotations

from typing import Literal

from maclip_daemon.iqa.tile_grid import TileGrid
from maclip_daemon.iqa.view_size import VIEW_SIZE, Box

STRIDE = 128  # pixels between neighbouring crops

ViewKind = Literal["crops", "whole"]
"""`crops`: the overlapping crops and the global view. `whole`: one view, the photo as it is."""


def crop_counts(width: int, height: int) -> tuple[int, int]:
    """Return (columns, rows) of the crops of a photo; both sides must be at least 224 pixels."""
    return (width - VIEW_SIZE) // STRIDE + 1, (height - VIEW_SIZE) // STRIDE + 1


def first_crop(width: int, height: int, *, centred: bool) -> tuple[int, int]:
    """Return (x, y) of the first crop: the corner of the photo, or half of what the crops leave out."""
    if not centred:
        return 0, 0
    return (width - VIEW_SIZE) % STRIDE // 2, (height - VIEW_SIZE) % STRIDE // 2


def view_count(width: int, height: int, kind: ViewKind = "crops") -> int:
    """Return the number of views of a photo of this size in pixels: 5 at 448×448, 1381 at 6000×4000.

    Tiles are not among them.
    """
    columns, rows = crop_counts(width, height)
    return columns * rows + 1 if kind == "crops" else 1


def view_boxes(
    width: int,
    height: int,
    kind: ViewKind = "crops",
    *,
    centred: bool = False,
    tiles: TileGrid | None = None,
) -> tuple[Box, ...]:
    """Return the box of each view, in the order of `PhotoScore.view_scores`: crops by row, the whole, tiles.

    All are in pixels of the photo at its protocol's size. `tiles`: the grid of the photo's tiles.
    """
    whole = Box(0, 0, width, height, "whole")
    shown = () if tiles is None else _tile_boxes(width, height, tiles)
    if kind == "whole":
        return (whole, *shown)
    columns, rows = crop_counts(width, height)
    left, top = first_crop(width, height, centred=centred)
    crops = (
        Box(left + column * STRIDE, top + row * STRIDE, VIEW_SIZE, VIEW_SIZE)
        for row in range(rows)
        for column in range(columns)
    )
    return (*crops, whole, *shown)


def _tile_boxes(width: int, height: int, tiles: TileGrid) -> tuple[Box, ...]:
    across, down = width / tiles.width, height / tiles.height
    return tuple(
        Box(
            round(box.x * across),
            round(box.y * down),
            round(box.width * across),
            round(box.height * down),
            "tile",
        )
        for box in tiles.boxes
    )
