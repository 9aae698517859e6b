"""The pixels of one photo that are judged: at its protocol's size, and its tiles. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from maclip_daemon.iqa.view_size import VIEW_SIZE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from maclip_daemon.iqa.protocols import Pixels

CHANNELS = 3
TILE_BYTES = VIEW_SIZE * VIEW_SIZE * CHANNELS


@dataclass(frozen=True)
class PhotoPixels:
    """RGB bytes of one photo."""

    picture: Pixels
    """[H, W, 3], at the protocol's size."""
    tiles: Pixels | None = None
    """[N, 224, 224, 3], in the order of `TileGrid.boxes`; None where the photo has none."""

    @property
    def tile_count(self) -> int:
        """Return the number of tiles."""
        return 0 if self.tiles is None else len(self.tiles)


def byte_count(width: int, height: int, tile_count: int) -> int:
    """Return the bytes of a photo at its protocol's size, and of its tiles after it."""
    return width * height * CHANNELS + tile_count * TILE_BYTES


def split(values: NDArray[np.uint8], width: int, height: int, tile_count: int) -> PhotoPixels:
    """Return the pixels in a row of bytes, tiles last. Raises `ValueError` for another number of bytes."""
    end = width * height * CHANNELS
    if len(values) != byte_count(width, height, tile_count):
        raise ValueError(f"{len(values)} bytes for {width}×{height} pixels and {tile_count} tiles")
    tiles = values[end:].reshape(tile_count, VIEW_SIZE, VIEW_SIZE, CHANNELS) if tile_count else None
    return PhotoPixels(values[:end].reshape(height, width, CHANNELS), tiles)
