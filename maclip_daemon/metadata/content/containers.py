"""JPEG, PNG and WebP seen as containers: which bytes are metadata, and are all the others the same?

Stricter than comparing decoded pixels, and faster: every byte outside the metadata must be identical.
JPEG: ITU-T T.81 annex B; PNG: W3C PNG section 5; WebP: RFC 9649.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from maclip_daemon.errors import WriteRefused

_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_XMP_IN_JPEG = b"http://ns.adobe.com/xap/1.0/\0"
_EXIF_IN_JPEG = b"Exif\0\0"
_MULTI_PICTURE = b"MPF\0"
_PNG = b"\x89PNG\r\n\x1a\n"
_START_OF_SCAN = 0xDA
_APP1 = 0xE1
_COMMENT = b"fe"
_XMP_IN_PNG = b"XML:com.adobe.xmp\0"
_WEBP_XMP_FLAG = 0x04  # in the first byte of VP8X

Part = tuple[bytes, bytes]


def kind_of(data: bytes) -> str:
    """Return `jpeg`, `png` or `webp`, by the first bytes. Raises `WriteRefused` for anything else."""
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(_PNG):
        return "png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    raise WriteRefused("its content is neither JPEG nor PNG nor WebP")


def require_embeddable(data: bytes) -> None:
    """Raise `WriteRefused` where embedding could lose data: extended XMP, or a file that ends too early."""
    for _, content in _parts(data):
        if content.startswith(_EXTENDED_XMP):
            raise WriteRefused("it carries extended XMP, which an embedded rating would cut off")


def difference(before: bytes, after: bytes, *, exif_may_differ: bool = False) -> str:
    """Return what differs outside of the XMP, in half a sentence; '' when nothing does.

    The order of a JPEG's application segments does not count. EXIF may differ only where its rating fields
    were set, and never in its length, because maker notes point into themselves.
    """
    if kind_of(before) != kind_of(after):
        return "its format changed"
    old, new = _comparable(before), _comparable(after)
    if [name for name, _ in old] != [name for name, _ in new]:
        return "its parts changed"
    for (name, was), (_, becomes) in zip(old, new, strict=True):
        if name == b"exif" and exif_may_differ and len(was) == len(becomes):
            continue
        if was != becomes:
            return f"its part {name.decode('latin-1').strip()} changed"
    if _pictures_distance(before) != _pictures_distance(after):
        return "the offsets to its further pictures changed"
    return ""


def _comparable(data: bytes) -> list[Part]:
    parts = [(name, content) for name, content in _parts(data) if name != b"xmp"]
    if kind_of(data) != "jpeg":
        return parts
    # exiv2 moves the application segments to the front and ends comments with a zero.
    loose = sorted(
        (name, content.rstrip(b"\0") if name == _COMMENT else content)
        for name, content in parts
        if _is_loose(name)
    )
    return loose + [part for part in parts if not _is_loose(part[0])]


def _is_loose(name: bytes) -> bool:
    return name == b"exif" or name == _COMMENT or name.startswith(b"e")


def _parts(data: bytes) -> Iterator[Part]:
    kind = kind_of(data)
    if kind == "jpeg":
        return _jpeg_parts(data)
    return _png_parts(data) if kind == "png" else _webp_parts(data)


def _jpeg_parts(data: bytes) -> Iterator[Part]:
    position = 2
    while True:
        while data[position : position + 2] == b"\xff\xff":
            position += 1  # fill bytes before a marker
        if len(data) < position + 4 or data[position] != 0xFF:
            raise WriteRefused("its JPEG segments are damaged")
        marker = data[position + 1]
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4])
        content = data[position + 4 : end]
        if marker == _START_OF_SCAN:
            yield b"image", data[position:]  # with whatever follows: further pictures, a motion photo's film
            return
        if marker == _APP1 and content.startswith(_XMP_IN_JPEG):
            yield b"xmp", content
        elif marker == _APP1 and content.startswith(_EXIF_IN_JPEG):
            yield b"exif", content
        else:
            yield f"{marker:02x}".encode(), content
        position = end


def _pictures_distance(data: bytes) -> int | None:
    """Return how far a multi-picture JPEG's index, the base of its offsets, is from the end (CIPA DC-007)."""
    if not data.startswith(b"\xff\xd8"):
        return None
    position = 2
    for name, content in _jpeg_parts(data):
        if name == b"e2" and content.startswith(_MULTI_PICTURE):
            return len(data) - position
        position += 4 + len(content)
    return None


def _png_parts(data: bytes) -> Iterator[Part]:
    position = len(_PNG)
    while position < len(data):
        length = int.from_bytes(data[position : position + 4])
        name, end = data[position + 4 : position + 8], position + 12 + length
        if end > len(data):
            raise WriteRefused("it ends in the middle of a PNG chunk")
        content = data[position + 8 : end - 4]
        is_xmp = name == b"iTXt" and content.startswith(_XMP_IN_PNG)
        yield {True: b"xmp", False: b"exif" if name == b"eXIf" else name}[is_xmp], content
        position = end
        if name == b"IEND":
            yield b"rest", data[position:]
            return


def _webp_parts(data: bytes) -> Iterator[Part]:
    end_of_file = 8 + struct.unpack_from("<I", data, 4)[0]
    if end_of_file > len(data):
        raise WriteRefused("it ends before its RIFF length says")
    position = 12
    while position + 8 <= end_of_file:
        name, length = data[position : position + 4], struct.unpack_from("<I", data, position + 4)[0]
        content = data[position + 8 : position + 8 + length]
        if name == b"VP8X":
            content = bytes([content[0] & ~_WEBP_XMP_FLAG]) + content[1:]
        if name != b"VP8X" or content[0]:  # a VP8X that only announced XMP is metadata
            yield {b"XMP ": b"xmp", b"EXIF": b"exif"}.get(name, name), content
        position += 8 + length + length % 2
    yield b"rest", data[end_of_file:]
