"""Frames made of numbers: a scene is a random pattern, its frames are the pattern with some bits turned."""

from __future__ import annotations

import random
from functools import cache

from maclip_daemon.photos.shots.descriptor_layout import (
    BITS,
    COLOUR_GRID,
    GRID,
    PLANE_BYTES,
    SHARP_COLUMNS,
    SHARP_ROWS,
    pack,
)
from maclip_daemon.pipeline.bursts.burst_frame import NO_EXPOSURE, BurstFrame, Exposure

SECOND = 1_000_000  # microseconds
_KNOWN = ((1 << BITS) - 1).to_bytes(PLANE_BYTES, "little")
_UNKNOWN = bytes(PLANE_BYTES)


@cache
def descriptor(
    scene: int, take: int = 0, *, level: int = 180, shift: int = 0, sharp: tuple[int, ...] | None = None
) -> bytes:
    """Return the descriptor of a take of a scene; takes differ in a twentieth of the bits.

    `shift`: cells by which the content moved to the left, over a pattern that goes on forever.
    """
    planes = []
    for plane in (0, 1):
        bits = 0
        for cell in range(BITS):
            row, column = divmod(cell, GRID)
            bits |= random.Random(f"{scene} {plane} {row} {column + shift}").getrandbits(1) << cell
        turned = random.Random(f"{scene} {plane} take {take} {shift}").sample(range(BITS), BITS // 20)
        for cell in turned if take else ():
            bits ^= 1 << cell
        planes.append(bits.to_bytes(PLANE_BYTES, "little"))
    colours = bytes([100 + 10 * (scene % 4)]) * (2 * COLOUR_GRID * COLOUR_GRID)
    sharpness = bytes(sharp or [60] * (SHARP_COLUMNS * SHARP_ROWS))
    return pack((level, 0, 0), (planes[0], _KNOWN, planes[1], _KNOWN), colours, sharpness)


def black() -> bytes:
    """Return the descriptor of an all-black picture: nothing in it is known."""
    colours = bytes([128]) * (2 * COLOUR_GRID * COLOUR_GRID)
    return pack((0, 255, 0), (_UNKNOWN,) * 4, colours, bytes(SHARP_COLUMNS * SHARP_ROWS))


def faint(scene: int, bits: int = 30) -> bytes:
    """Return the descriptor of a scene so dark that only a few of its differences are known."""
    whole = descriptor(scene)
    known = sum(1 << cell for cell in random.Random(0).sample(range(BITS), bits)).to_bytes(
        PLANE_BYTES, "little"
    )
    signs = [whole[at : at + PLANE_BYTES] for at in (4, 4 + 2 * PLANE_BYTES)]
    rest = whole[4 + 4 * PLANE_BYTES :]
    split = 2 * COLOUR_GRID * COLOUR_GRID
    return pack((100, 200, 0), (signs[0], known, signs[1], known), rest[:split], rest[split:])


def plain(colour: int = 128, *, level: int = 180, white: int = 0) -> bytes:
    """Return the descriptor of a wall: light and colour, and no structure."""
    colours = bytes([colour]) * (2 * COLOUR_GRID * COLOUR_GRID)
    return pack((level, 0, white), (_UNKNOWN,) * 4, colours, bytes(SHARP_COLUMNS * SHARP_ROWS))


def frame(number: int, at_s: float, packed: bytes | None, **changes: object) -> BurstFrame:
    """Return a frame of a 24-megapixel camera, taken `at_s` seconds after a fixed moment."""
    values: dict[str, object] = {
        "photo_id": number,
        "moment_us": 1_777_000_000 * SECOND + round(at_s * SECOND),
        "is_exact": True,
        "folder_id": 1,
        "file_name": f"IMG_{number:04d}.jpg",
        "role": "developed",
        "width": 6000,
        "height": 4000,
        "pixel_hash": f"jpeg:{number}",
        "exposure": NO_EXPOSURE,
        "packed": packed,
    }
    return BurstFrame(**{**values, **changes})  # type: ignore[arg-type]


def exposed(seconds: float, bias_ev: float | None = None) -> Exposure:
    """Return an exposure at f/8 and ISO 100."""
    return Exposure(seconds, 8.0, 100.0, bias_ev, 35.0)
