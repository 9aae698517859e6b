"""A picture's descriptor, computed in the decoder process beside the decoding."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from maclip_daemon.photos.shots.descriptor_layout import (
    COLOUR_GRID,
    GRID,
    LEVEL_STEPS,
    LEVEL_ZERO,
    SHARP_COLUMNS,
    SHARP_ROWS,
    pack,
)

LONG_EDGE = 1100  # pixels; larger pictures are first reduced by a whole factor, which costs little
_SMALLEST_DIFFERENCE = 1.5  # grey levels between two cells; noise and compression make less
_KNOWN_SHARE = 0.7  # of the differences, the largest first
_FULL_WHITE, _BLACK = 250, 5  # grey levels at which a pixel counts as clipped
_SHARPNESS_STEPS = 16.0  # for each doubling of fine detail

Values = NDArray[np.float32]


def describe(image: Image.Image) -> bytes:
    """Return the descriptor of an upright RGB picture of any size (`descriptor_layout`)."""
    factor = max(1, max(image.size) // LONG_EDGE)
    small = image.reduce(factor) if factor > 1 else image
    luma = small.convert("L")
    cells = _means(luma, GRID + 1, GRID + 1)
    across = cells[:GRID, 1:] - cells[:GRID, :GRID]
    down = cells[1:, :GRID] - cells[:GRID, :GRID]
    known = max(_SMALLEST_DIFFERENCE, _largest_share(across, down))
    return pack(
        _levels(luma),
        (_plane(across > 0), _plane(np.abs(across) > known), _plane(down > 0), _plane(np.abs(down) > known)),
        _colours(small),
        _sharpness(luma),
    )


def _means(channel: Image.Image, columns: int, rows: int) -> Values:
    """Return the mean of each cell, [rows, columns], in grey levels."""
    # As floats: rounded to whole levels, a gentle gradient would come out as steps.
    resized = channel.convert("F").resize((columns, rows), Image.Resampling.BOX)
    return np.asarray(resized, np.float32)


def _largest_share(across: Values, down: Values) -> float:
    sizes = np.abs(np.concatenate((across, down), axis=None))
    return float(np.quantile(sizes, 1 - _KNOWN_SHARE))


def _plane(bits: NDArray[np.bool_]) -> bytes:
    return np.packbits(bits, axis=None, bitorder="little").tobytes()


def _levels(luma: Image.Image) -> tuple[int, int, int]:
    counts = np.asarray(luma.histogram(), np.float64)
    total = max(1.0, float(counts.sum()))
    linear = (np.arange(256) / 255) ** 2.2  # close enough to sRGB's curve to order exposures
    mean = max(2.0**-LEVEL_ZERO, float(counts @ linear) / total)
    level = round((math.log2(mean) + LEVEL_ZERO) * LEVEL_STEPS)
    shares = (counts[: _BLACK + 1].sum() / total, counts[_FULL_WHITE:].sum() / total)
    return min(level, 255), round(255 * float(shares[0])), round(255 * float(shares[1]))


def _colours(image: Image.Image) -> bytes:
    cells = image.resize((COLOUR_GRID, COLOUR_GRID), Image.Resampling.BOX).convert("YCbCr")
    return b"".join(channel.tobytes() for channel in cells.split()[1:])


def _sharpness(luma: Image.Image) -> bytes:
    """Return the mean fine detail of each cell: second differences along the diagonal, logarithmic."""
    width, height = luma.size
    if min(width, height) < 2 * max(SHARP_COLUMNS, SHARP_ROWS):
        return bytes(SHARP_COLUMNS * SHARP_ROWS)
    slope = ImageChops.subtract(
        luma.crop((0, 0, width - 1, height - 1)), luma.crop((1, 1, width, height)), 2, 128
    )
    width, height = slope.size
    bend = ImageChops.difference(slope.crop((0, 0, width - 1, height - 1)), slope.crop((1, 1, width, height)))
    energy = _means(bend, SHARP_COLUMNS, SHARP_ROWS)
    steps = _SHARPNESS_STEPS * np.log2(1 + 256 * energy)
    return np.clip(np.rint(steps), 0, 255).astype(np.uint8).tobytes()
