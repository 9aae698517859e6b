"""The layout of a picture's descriptor: 256 bytes that tell alike pictures from others. Needs no library.

Signs of brightness differences between neighbouring cells stay the same when a picture is brighter, darker,
smaller or compressed (as in the census transform, Zabih and Woodfill 1994). They are compared as one integer,
a few microseconds a pair, so that the daemon's parent process needs no numerical library.
"""

from __future__ import annotations

from dataclasses import dataclass

VERSION = 1
GRID = 20  # cells on each side
BITS = GRID * GRID
PLANE_BYTES = BITS // 8
COLOUR_GRID = 4  # cells on each side, with two differences of colour each
SHARP_COLUMNS, SHARP_ROWS = 5, 4
LEVEL_STEPS = 16  # of the mean luminance, for each doubling of light
LEVEL_ZERO = 12  # doublings below full white that are level 0

_ACROSS_KNOWN_AT, _DOWN_AT, _DOWN_KNOWN_AT, _COLOURS_AT = (4 + n * PLANE_BYTES for n in (1, 2, 3, 4))
_SHARPNESS_AT = _COLOURS_AT + 2 * COLOUR_GRID * COLOUR_GRID
DESCRIPTOR_BYTES = _SHARPNESS_AT + SHARP_COLUMNS * SHARP_ROWS


@dataclass(frozen=True, slots=True)
class Descriptor:
    """How a picture looks, unpacked. Bit `row · GRID + column` belongs to that cell.

    `BITS` further on are the differences downwards.
    """

    signs: int
    """Whether the cell to the right, or below, is brighter."""
    known: int
    """Where that difference is large enough to mean anything."""
    level: float
    """log2 of the mean luminance; full white is 0."""
    black_share: float
    """Share of pixels without any light, 0 to 1."""
    white_share: float
    """Share of pixels at full white, 0 to 1."""
    colours: bytes
    """Two differences of colour for each of 4 × 4 cells, 128 is grey."""
    sharpness: bytes
    """Fine detail in each of 5 × 4 cells, row by row, on a logarithmic scale; 16 is a doubling."""

    @property
    def known_bits(self) -> int:
        """Return how many differences mean anything: none in an all-black picture."""
        return self.known.bit_count()


def pack(
    levels: tuple[int, int, int], planes: tuple[bytes, bytes, bytes, bytes], colours: bytes, sharpness: bytes
) -> bytes:
    """Return the stored form. `levels`: the mean, then the shares of black and white."""
    return b"".join((bytes((VERSION, *levels)), *planes, colours, sharpness))


def is_descriptor(data: bytes) -> bool:
    """Return whether these bytes are a descriptor of this version."""
    return len(data) == DESCRIPTOR_BYTES and data[0] == VERSION


def unpack(data: bytes) -> Descriptor:
    """Return a stored descriptor. Raise `ValueError` for other bytes."""
    if not is_descriptor(data):
        raise ValueError("not a picture descriptor of this version")
    from_bytes = int.from_bytes
    return Descriptor(
        from_bytes(data[4:_ACROSS_KNOWN_AT] + data[_DOWN_AT:_DOWN_KNOWN_AT], "little"),
        from_bytes(data[_ACROSS_KNOWN_AT:_DOWN_AT] + data[_DOWN_KNOWN_AT:_COLOURS_AT], "little"),
        data[1] / LEVEL_STEPS - LEVEL_ZERO,
        data[2] / 255,
        data[3] / 255,
        data[_COLOURS_AT:_SHARPNESS_AT],
        data[_SHARPNESS_AT:],
    )
