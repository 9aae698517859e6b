"""Does a JPEG without a proper end hold every coded block? Decoding it with different endings tells.

Some phones end a panorama without an end marker; some programs pad with zeros, or append a trailer. The
picture is whole when nothing that follows its data can change it. libjpeg decodes what follows when blocks
are missing, and skips it when none are. It never says which, so the picture is decoded with several endings.
"""

from __future__ import annotations

import io
import math
import random
import struct
from collections import defaultdict

from PIL import Image

from maclip_daemon.errors import Poison
from maclip_daemon.photos.containers import jpeg_structure
from maclip_daemon.photos.decode_errors import ADVICE, check_pixels
from maclip_daemon.photos.picture_identity import pixel_hash

END = b"\xff\xd9"
_ENDING_BYTES = 4096
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)


def _endings() -> tuple[bytes, ...]:
    """Return endings that differ from their first bit on. None holds FF, which would begin a marker."""
    chance = random.Random(0)
    noise = bytes(chance.randrange(1, 255) for _ in range(_ENDING_BYTES))
    return b"", noise, bytes(byte ^ 0xFF for byte in noise)


_ENDINGS = _endings()


def whole_jpeg(data: bytes, max_megapixels: float) -> bytes:
    """Return a JPEG with its end marker, put in its place where it was missing or padded.

    Raises `Poison` when the structure is damaged or a coded block is missing.
    """
    damage = jpeg_structure.damage(data)
    if damage is None:
        return data
    for end in damage.possible_ends:
        picture = data[:end].rstrip(b"\xff")  # without the beginning of a marker
        if has_every_block(picture, max_megapixels):
            return picture + END
    raise Poison(f"the JPEG is damaged: {damage.reason}. {ADVICE}")


def has_every_block(data: bytes, max_megapixels: float) -> bool:
    """Return whether a JPEG that ends with the last byte of its last scan holds every coded block.

    `data`: from the start marker to that byte; no end marker. It is decoded three times.
    """
    if not _all_scans_present(data):
        return False
    hashes = set()
    for ending in _ENDINGS:
        try:
            with Image.open(io.BytesIO(data + ending + END), formats=["JPEG"]) as image:
                check_pixels(*image.size, max_megapixels)
                hashes.add(pixel_hash(image))
        except (OSError, ValueError, SyntaxError):
            return False
        if len(hashes) > 1:
            return False
    return True


def _all_scans_present(data: bytes) -> bool:
    """Return whether the scans cover every coefficient of every component, and no restart is missing."""
    frame: dict[int, tuple[int, int]] = {}
    marker_of_frame, size, restart_interval = 0, (0, 0), 0
    refined: defaultdict[int, list[int]] = defaultdict(lambda: [99] * 64)
    for segment in jpeg_structure.segments(data):
        content = bytes(segment.content[:64])
        if segment.marker in jpeg_structure.FRAMES and len(content) >= 6:
            marker_of_frame, size = segment.marker, struct.unpack_from(">HH", content, 1)
            parts = [content[at : at + 3] for at in range(6, 6 + 3 * content[5], 3)]
            frame = {part[0]: (part[1] >> 4, part[1] & 15) for part in parts if len(part) == 3}
        elif segment.marker == jpeg_structure.DRI and len(content) >= 2:
            restart_interval = int.from_bytes(content[:2], "big")
        elif segment.marker == jpeg_structure.SOS and content:
            count = content[0]
            names = list(content[1 : 1 + 2 * count : 2])
            first, last, precision = _spectrum(content, count, marker_of_frame)
            for name in names:
                refined[name][first : last + 1] = [precision & 15] * (last + 1 - first)
            restarts = len(jpeg_structure.RESTART.findall(segment.content))
            if restart_interval and restarts < _intervals(frame, size, names, restart_interval) - 1:
                return False
    return bool(frame) and all(not any(refined[name]) for name in frame)


def _spectrum(scan_header: bytes, count: int, marker_of_frame: int) -> tuple[int, int, int]:
    """Return a scan's first and last coefficient, and the bits that it leaves for later scans."""
    start = 1 + 2 * count
    if marker_of_frame not in _PROGRESSIVE or len(scan_header) < start + 3:
        return 0, 63, 0
    first, last, precision = scan_header[start : start + 3]
    return first, min(last, 63), precision


def _intervals(
    frame: dict[int, tuple[int, int]], size: tuple[int, ...], names: list[int], restart_interval: int
) -> int:
    """Return how many restart intervals a scan of these components has (T.81 A.2)."""
    height, width = size
    widest, tallest = (max(sides, default=1) or 1 for sides in zip(*frame.values(), strict=True))
    if len(names) == 1 and names[0] in frame:
        across, down = frame[names[0]]
        columns = math.ceil(math.ceil(width * across / widest) / 8)
        rows = math.ceil(math.ceil(height * down / tallest) / 8)
    else:
        columns, rows = math.ceil(width / (8 * widest)), math.ceil(height / (8 * tallest))
    return math.ceil(columns * rows / restart_interval)
