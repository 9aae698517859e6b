"""The size of a JPEG XL picture, from its first bytes (ISO/IEC 18181-1, B.2 and D.2).

Pillow's plug-in decodes a picture when it opens the file. A bomb must be refused before.
"""

from __future__ import annotations

from maclip_daemon.photos.containers.isobmff_boxes import boxes

CODESTREAM = b"\xff\x0a"
CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"
_LENGTHS = (9, 13, 18, 30)  # bits of a size that is no multiple of eight
# Width : height of the ratios 1 to 7 (table D.3).
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def size(data: bytes) -> tuple[int, int] | None:
    """Return (width, height) in pixels as stored; None when the header is cut off."""
    header = _codestream(data)[:16]
    if not header.startswith(CODESTREAM) or len(header) < 16:
        return None
    bits = _Bits(header[2:])
    is_small = bits.take(1)
    height = _length(bits, is_small=bool(is_small))
    ratio = bits.take(3)
    if ratio:
        across, down = _RATIOS[ratio - 1]
        return height * across // down, height
    return _length(bits, is_small=bool(is_small)), height


def _length(bits: _Bits, *, is_small: bool) -> int:
    if is_small:
        return 8 * (bits.take(5) + 1)
    return bits.take(_LENGTHS[bits.take(2)]) + 1


def _codestream(data: bytes) -> bytes:
    """Return the codestream's beginning, out of its container if there is one."""
    if not data.startswith(CONTAINER):
        return data
    parts = b""
    for box in boxes(data):
        if box.kind == b"jxlc":
            return box.content
        if box.kind == b"jxlp":
            parts += box.content[4:]  # after the part's number
    return parts


class _Bits:
    """Bits of a codestream, the least significant of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        """Return the next bits as a number."""
        taken = self._value & ((1 << count) - 1)
        self._value >>= count
        return taken
