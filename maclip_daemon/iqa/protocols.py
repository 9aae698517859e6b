"""Protocols: the size at which a photo is judged. Needs no torch: decoder processes size photos by them.

A score belongs to its protocol: the same photo at another size is another measurement. `native`, `spaq448`
and `agiqa224` are the authors' (MA-CLIP, arXiv 2511.09948, evaluation code); `long-edge-N` and `detail-N` are
this project's. `detail-N` adds N tiles that show the photo at half its own size (`iqa.tiles`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from PIL import Image

from maclip_daemon.errors import Poison, UsageError
from maclip_daemon.iqa.tile_grid import TileGrid, is_grid, tile_grid
from maclip_daemon.iqa.view_size import VIEW_SIZE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Pixels: TypeAlias = "NDArray[np.uint8]"
"""RGB bytes [H, W, 3] of a photo at its protocol's size."""

_LONGEST_ENLARGED_EDGE = 1 << 15  # pixels; a 1-pixel strip must not grow to gigabytes
_LONG_EDGE = re.compile(r"long-edge-([1-9]\d{2,4})")
_DETAIL = re.compile(r"detail-([1-9]\d?)")
_SQUARES = {"spaq448": 448, "agiqa224": 224}
_DETAIL_LONG_EDGE = 544  # pixels of the picture beside the tiles; as the built-in model was trained

# How many times the target's sides a first reduction leaves for the second, antialiased one. With less it
# would show (measured in docs/performance.md). A JPEG's own fractions are cleaner than means of blocks.
_FRACTION_OF_TARGET = 2
_BLOCKS_OF_TARGET = 3.0

VALID_NAMES = (
    "native, spaq448, agiqa224, long-edge-N with N from 224 to 99999 (long-edge-1024), "
    "or detail-N with N tiles in a grid (detail-8)"
)


@dataclass(frozen=True)
class Protocol:
    """A rule for the size at which a photo is judged."""

    name: str
    """As it is stored with every score."""
    square: int | None = None
    """Pixels; the photo is squashed to this side whatever its aspect, as the authors do."""
    long_edge: int | None = None
    """Pixels; a larger photo is reduced to this long edge, its aspect kept."""
    tiles: int = 0
    """How many tiles show the photo at half its own size."""

    @property
    def is_centred(self) -> bool:
        """Return whether the crops lie in the middle; the published grid begins at the upper left corner."""
        return self.tiles > 0

    def tile_grid(self, width: int, height: int) -> TileGrid | None:
        """Return where the tiles of an upright photo of this size lie; None without tiles."""
        return tile_grid(width, height, self.tiles) if self.tiles else None

    @property
    def _gap(self) -> float:
        # The half size that tiles need is no multiple of the target: a gap of three would leave it whole.
        return _FRACTION_OF_TARGET if self.tiles else _BLOCKS_OF_TARGET

    def target_size(self, width: int, height: int) -> tuple[int, int]:
        """Return (width, height) in pixels at which an upright photo of this size is judged.

        A side under 224 pixels becomes 224, the aspect kept: the published code fails there. So a panorama's
        short side stays at 224 under `long-edge-N`. Raises `Poison` for a strip so narrow that enlarging it
        would fill the memory.
        """
        if self.square is not None:
            return self.square, self.square
        scale = 1.0 if self.long_edge is None else min(1.0, self.long_edge / max(width, height))
        scale = max(scale, VIEW_SIZE / min(width, height))
        if scale == 1.0:
            return width, height
        target = max(VIEW_SIZE, round(width * scale)), max(VIEW_SIZE, round(height * scale))
        if scale > 1.0 and max(target) > _LONGEST_ENLARGED_EDGE:
            raise Poison(f"{width}×{height} pixels are too narrow a strip to be judged.")
        return target

    def smallest_decoded_size(self, width: int, height: int) -> tuple[int, int]:
        """Return (width, height) in pixels of the smallest fraction of a photo that may be decoded.

        Twice the target on both sides, and the size that the tiles show; the photo's own size where that is
        less.
        """
        target, tiled = self.target_size(width, height), self.tiled_size(width, height)
        return (
            min(width, max(_FRACTION_OF_TARGET * target[0], tiled[0])),
            min(height, max(_FRACTION_OF_TARGET * target[1], tiled[1])),
        )

    def tiled_size(self, width: int, height: int) -> tuple[int, int]:
        """Return (width, height) in pixels at which the tiles show a photo; zeros without tiles."""
        grid = self.tile_grid(width, height)
        return (0, 0) if grid is None else (int(width * grid.scale), int(height * grid.scale))

    def in_blocks(self, image: Image.Image) -> Image.Image:
        """Return means of blocks of the photo, a first step: never below the gap of its target size."""
        target = self.target_size(*image.size)
        factors = [
            max(1, int(have / want / self._gap)) for have, want in zip(image.size, target, strict=True)
        ]
        return image if max(factors) == 1 else image.reduce((factors[0], factors[1]))

    def resize(self, image: Image.Image, *, two_steps: bool = False) -> Image.Image:
        """Return the photo as RGB at its target size, by Pillow's antialiased bicubic, as the authors do.

        `two_steps`: first reduce a large photo to means of blocks, never below three times the target (twice
        beside tiles); three times faster. Off: exactly as the authors do.
        """
        upright = image if image.mode == "RGB" else image.convert("RGB")
        target = self.target_size(*upright.size)
        if target == upright.size:
            return upright
        gap = self._gap if two_steps else None
        return upright.resize(target, Image.Resampling.BICUBIC, reducing_gap=gap)


NATIVE = Protocol("native")


def parse(name: str) -> Protocol:
    """Return the protocol of a name. Raises `UsageError` with the valid names."""
    if name == NATIVE.name:
        return NATIVE
    if name in _SQUARES:
        return Protocol(name, square=_SQUARES[name])
    long_edge = _LONG_EDGE.fullmatch(name)
    if long_edge is not None and int(long_edge[1]) >= VIEW_SIZE:
        return Protocol(name, long_edge=int(long_edge[1]))
    detail = _DETAIL.fullmatch(name)
    if detail is not None and is_grid(int(detail[1])):
        return Protocol(name, long_edge=_DETAIL_LONG_EDGE, tiles=int(detail[1]))
    raise UsageError(f"There is no protocol {name!r}. Choose {VALID_NAMES}.")
