"""The grid of views: which part of a photo each view shows. Needs no torch: heat maps are drawn from it.

MA-CLIP (arXiv 2511.09948, section "Implementation details" and the published code) unfolds crops of 224
pixels with a stride of 128, without padding: a photo's right and lower rim may lie outside every crop. The
last view is the whole photo, reduced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from maclip_daemon.iqa.protocols import VIEW_SIZE

STRIDE = 128  # pixels between neighbouring crops

ViewKind = Literal["crops", "whole"]
"""`crops`: the overlapping crops and the global view. `whole`: one view, the photo as it is."""


@dataclass(frozen=True)
class Box:
    """A rectangle of the photo at its protocol's size, in pixels from the upper left corner."""

    x: int
    y: int
    width: int
    height: int


def crop_counts(width: int, height: int) -> tuple[int, int]:
    """Return (columns, rows) of the crops of a photo; both sides must be at least 224 pixels."""
    return (width - VIEW_SIZE) // STRIDE + 1, (height - VIEW_SIZE) // STRIDE + 1


def view_count(width: int, height: int, kind: ViewKind = "crops") -> int:
    """Return the number of views of a photo of this size in pixels: 5 at 448×448, 1381 at 6000×4000."""
    columns, rows = crop_counts(width, height)
    return columns * rows + 1 if kind == "crops" else 1


def view_boxes(width: int, height: int, kind: ViewKind = "crops") -> tuple[Box, ...]:
    """Return the box of each view, in the order of `PhotoScore.view_scores`: crops by row, then the whole."""
    whole = Box(0, 0, width, height)
    if kind == "whole":
        return (whole,)
    columns, rows = crop_counts(width, height)
    crops = (
        Box(column * STRIDE, row * STRIDE, VIEW_SIZE, VIEW_SIZE)
        for row in range(rows)
        for column in range(columns)
    )
    return (*crops, whole)
