"""Decompression bombs: small files with enormous headers, highly compressed data, or loops."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from PIL import Image

from tests.faults.damaged_metadata import png_chunk
from tests.faults.photo_files import picture, still_bytes, write_dng

SIDE = 60_000  # pixels; 3600 megapixels
REAL_SIDE = 30_000  # pixels; 900 megapixels, as from a telescope or an attacker


def bombs(folder: Path) -> dict[str, tuple[bytes, str]]:
    """Return name → (content, expected words of the failure; '' where a score is accepted too)."""
    megapixels = "are more than 1000 megapixels"
    return {
        "header.png": (_png(SIDE, SIDE, zlib.compress(bytes(1000))), megapixels),
        "header.jpg": (_jpeg_of_another_size(65_000), megapixels),
        "header.tif": (_tiff_of_another_size(SIDE), megapixels),
        "header.webp": (_webp_of_another_size(), "damaged|memory"),
        "header.heic": (_boxes_of_another_size("heic"), "megapixels|damaged"),
        "header.avif": (_boxes_of_another_size("avif"), "megapixels|damaged"),
        "header.dng": (_dng_of_another_size(folder), "megapixels|damaged|missing"),
        "constant.png": (_constant_png(REAL_SIDE), "more memory"),
        "large.png": (_constant_png(9000), ""),
        "text.png": (_with_chunk(b"zTXt", b"Comment\0\0" + _zeros(50 << 20)), ""),
        "profile.png": (_with_chunk(b"iCCP", b"icc\0\0" + _zeros(50 << 20)), ""),
        "scans.jpg": (_jpeg_of_many_scans(200), ""),
        "loop.tif": (_tiff_that_loops(), ""),
    }


def _zeros(count: int) -> bytes:
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    parts = [packer.compress(block) for _ in range(count >> 20)]
    return b"".join([*parts, packer.compress(bytes(count & 0xFFFFF)), packer.flush()])


def _constant_png(side: int) -> bytes:
    """Return a black PNG of one bit a pixel; decoded, it is about a million times larger."""
    return _png(side, side, _zeros(side * (side // 8 + 1)))


def _png(width: int, height: int, packed: bytes) -> bytes:
    """Return a PNG of one bit a pixel with these data."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        png_chunk(name, content) for name, content in ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    )


def _with_chunk(name: bytes, content: bytes) -> bytes:
    whole = still_bytes(picture(seed=8), "png")
    at = whole.index(b"IHDR") + 17 + 4
    return whole[:at] + png_chunk(name, content) + whole[at:]


def _jpeg_of_another_size(side: int) -> bytes:
    data = bytearray(still_bytes(picture(), "jpg"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", side, side)
    return bytes(data)


def _jpeg_of_many_scans(count: int) -> bytes:
    """Return a progressive JPEG that repeats its last, refining scan."""
    whole = still_bytes(picture(1600, 1200).convert("L"), "jpg", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * count + whole[-2:]


def _tiff_of_another_size(side: int) -> bytes:
    data = still_bytes(picture(), "tif")
    for tag, value in ((256, 320), (257, 240)):
        data = data.replace(struct.pack("<HHIHH", tag, 3, 1, value, 0), struct.pack("<HHII", tag, 4, 1, side))
    return data


def _tiff_that_loops() -> bytes:
    """Return a TIFF whose directory is its own sub-directory and successor."""
    entry = struct.pack("<HHII", 330, 4, 1, 8)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 1) + entry + struct.pack("<I", 8)


def _webp_of_another_size() -> bytes:
    picture_data = still_bytes(picture(), "webp")[12:]
    canvas = (16_383).to_bytes(3, "little")
    extended = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + canvas + canvas
    animation = b"ANIM" + struct.pack("<I", 6) + bytes(6)
    frame = bytes(6) + (319).to_bytes(3, "little") + (239).to_bytes(3, "little") + bytes(4) + picture_data
    body = b"WEBP" + extended + animation + b"ANMF" + struct.pack("<I", len(frame)) + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _boxes_of_another_size(suffix: str) -> bytes:
    data = bytearray(still_bytes(picture(), suffix))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", SIDE, SIDE)
    return bytes(data)


def _dng_of_another_size(folder: Path) -> bytes:
    path = write_dng(folder / "bomb.dng", 320, 240)
    data = path.read_bytes()
    path.unlink()
    for tag, value in ((256, 320), (257, 240)):
        data = data.replace(struct.pack("<HHII", tag, 4, 1, value), struct.pack("<HHII", tag, 4, 1, SIDE))
    return data


def real_jpeg(path: Path) -> None:
    """Write 30 000 × 30 000 grey pixels as a JPEG of 14 MB."""
    Image.new("L", (REAL_SIDE, REAL_SIDE), 90).save(path, quality=50)
