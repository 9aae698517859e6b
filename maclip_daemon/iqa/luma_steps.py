"""Luma steps: by how much the brightness of neighbouring pixels differs, and where these steps stand out.

JPEG codes each block of 8×8 pixels apart. The stronger it compresses, the more neighbours differ across a
border than within a block, most visibly in calm parts. (The principle of Z. Wang, H. R. Sheikh and A. C.
Bovik, *No-reference perceptual quality assessment of JPEG compressed images*, ICIP 2002.) Whether a part is
calm is told by the pixels beside a border, not by the step across it: the strongest compression makes large
steps. Needs no torch: decoder processes measure, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from maclip_daemon.iqa.protocols import Pixels

TILE_PERIOD = 4
"""Pixels between borders of JPEG's blocks in a tile: tiles are at half the photo's own size."""
CLEAN_TILES = 5.0
"""Per cent; borders that stand out by less are those of well stored photos, or chance (decision 0058)."""
MOST_BLOCKS = 150.0
"""Per cent; what stands out by more counts as so much."""
_CALM = 16  # grey levels; where neighbours differ by more there is an edge
_LARGEST = 64  # grey levels; a larger step counts as one of this
_LINES = 160  # rows and columns that are looked at
_LEAST_OF_STRONGER = 0.3


def apart(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the difference of two brightnesses; single bytes take half the time of signed numbers."""
    return np.maximum(one, other) - np.minimum(one, other)


def border_excess(luma: NDArray[np.uint8], period: int) -> tuple[float, float]:
    """Return how much more neighbours differ across borders of blocks than within, in per cent.

    Of neighbours side by side, and one above the other; below zero where nothing stands out. `luma`:
    brightness [H, W], both sides at least two periods. `period`: pixels between borders, at least 3; the
    borders are where differences are largest.
    """
    return _standing_out(_by_phase(luma, period)), _standing_out(_by_phase(luma.T, period))


def tile_blocks(tiles: Pixels) -> float:
    """Return by how many per cent borders of JPEG's blocks stand out of tiles, beyond those of good photos.

    `tiles` [N, 224, 224, 3] at half the photo's own size, at least one. Of each the smaller value of both
    directions, because an edge has one and blocks have two; of these the mean, less `CLEAN_TILES`, from 0 to
    `MOST_BLOCKS`. Of two borders in a row the weaker counts: tiles at full size, whose borders are twice as
    far apart, have next to none, and those at scales between as well.
    """
    strip = Image.fromarray(tiles.reshape(-1, *tiles.shape[2:])).convert("L")
    luma = np.asarray(strip).reshape(tiles.shape[:3])
    excess = float(np.mean([min(_of_both(tile), _of_both(tile.T)) for tile in luma]))
    return min(max(excess - CLEAN_TILES, 0.0), MOST_BLOCKS)


def _of_both(luma: NDArray[np.uint8]) -> float:
    """Return by how much the weaker of two neighbouring borders stands out of a tile.

    0 where it is next to nothing beside the stronger: then it is none, and the tile is at full size.
    """
    pairs = _by_phase(luma, 2 * TILE_PERIOD).reshape(2, TILE_PERIOD)
    weaker, stronger = _standing_out(pairs.min(axis=0)), _standing_out(pairs.max(axis=0))
    return weaker if weaker >= _LEAST_OF_STRONGER * stronger else min(weaker, 0.0)


def _by_phase(luma: NDArray[np.uint8], period: int) -> NDArray[np.float64]:
    """Return the mean step between calm neighbours along the rows, by their place within a period."""
    rows = np.ascontiguousarray(luma[:: max(1, luma.shape[0] // _LINES)])
    change = apart(rows[:, 1:], rows[:, :-1])
    is_calm = change < _CALM
    is_amid_calm = is_calm[:, :-2] & is_calm[:, 2:]
    steps = np.minimum(change[:, 1:-1], _LARGEST) * is_amid_calm
    sums, counts = steps.sum(0, dtype=np.uint16), is_amid_calm.sum(0, dtype=np.uint16)
    whole = len(sums) // period * period
    found: NDArray[np.float64] = sums[:whole].reshape(-1, period).sum(0) / np.maximum(
        counts[:whole].reshape(-1, period).sum(0), 1
    )
    return found


def _standing_out(by_phase: NDArray[np.float64]) -> float:
    border = int(by_phase.argmax())
    others = np.delete(by_phase, border)
    return 100 * float((by_phase[border] - others.max()) / (others.mean() + 0.25))
