"""PNG, chunk by chunk (W3C Portable Network Graphics, third edition, sections 5.3 and 13.1).

Pillow refuses a photo for a text of more than a megabyte, and for a wrong checksum in any chunk. Neither
touches the picture. So only the chunks that make the picture are handed on, and only their checksums count.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from PIL import PngImagePlugin

from maclip_daemon.errors import Poison
from maclip_daemon.photos.decode_errors import ADVICE, unsupported

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_HOW_IT_LOOKS = frozenset({b"tRNS", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"eXIf"})
_EXIF_AS_TEXT = (b"Raw profile type exif\0", b"Raw profile type APP1\0")  # ImageMagick before eXIf existed
_LARGEST_TEXT = PngImagePlugin.MAX_TEXT_CHUNK  # bytes; Pillow raises for more


class Chunk(NamedTuple):
    """One chunk of a PNG."""

    kind: bytes
    whole: memoryview
    """Length, kind, content and checksum."""

    @property
    def content(self) -> memoryview:
        """Return the bytes between the kind and the checksum."""
        return self.whole[8:-4]

    @property
    def is_intact(self) -> bool:
        """Return whether the checksum is right."""
        return zlib.crc32(self.whole[4:-4]) == int.from_bytes(self.whole[-4:], "big")


def picture_chunks(data: bytes) -> list[Chunk]:
    """Return the chunks that make the picture; text, animation and damaged ancillary chunks are left out.

    Raises `Poison` when the PNG is cut off or a critical chunk has a wrong checksum.
    """
    if not data.startswith(SIGNATURE):
        raise Poison(f"it begins like a PNG file but its header is damaged. {ADVICE}")
    kept = []
    for chunk in _chunks(data):
        if chunk.kind in _CRITICAL:
            if not chunk.is_intact:
                kind = chunk.kind.decode("ascii")
                raise Poison(f"the PNG data is damaged (wrong checksum of a part {kind}). {ADVICE}")
        elif chunk.kind == b"CgBI":
            raise unsupported("a PNG of Apple's own kind, made for apps of the iPhone")
        elif not _is_needed(chunk) or not chunk.is_intact:
            continue
        kept.append(chunk)
    return kept


def joined(chunks: list[Chunk]) -> bytes:
    """Return a PNG of these chunks."""
    return SIGNATURE + b"".join(chunk.whole for chunk in chunks)


def _chunks(data: bytes) -> Iterator[Chunk]:
    """Yield the chunks up to the end chunk. What follows it does not count."""
    whole, position = memoryview(data), len(SIGNATURE)
    kind = b""
    while kind != b"IEND":
        if position + 12 > len(data):
            raise Poison(f"the PNG data is damaged or cut off (its end is missing). {ADVICE}")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data) or not kind.isalpha():
            raise Poison(f"the PNG data is damaged or cut off (after byte {position}). {ADVICE}")
        yield Chunk(kind, whole[position:end])
        position = end


def _is_needed(chunk: Chunk) -> bool:
    if chunk.kind == b"iCCP":
        return _fits(bytes(chunk.content).partition(b"\0")[2][1:])
    if chunk.kind in (b"tEXt", b"zTXt"):
        start = bytes(chunk.content[:24])
        if not start.startswith(_EXIF_AS_TEXT):
            return False
        text = bytes(chunk.content).partition(b"\0")[2]
        return len(text) < _LARGEST_TEXT if chunk.kind == b"tEXt" else _fits(text[1:])
    return chunk.kind in _HOW_IT_LOOKS


def _fits(compressed: bytes) -> bool:
    """Return whether zlib data are whole and not larger than Pillow takes."""
    stream = zlib.decompressobj()
    try:
        stream.decompress(compressed, _LARGEST_TEXT)
    except zlib.error:
        return False
    return stream.eof
