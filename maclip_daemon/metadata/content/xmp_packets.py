"""XMP packets in a photo's container, found without exiv2: has exiv2 read all that is there?

It only detects. JPEG: XMP specification part 3, 1.1.3; PNG: W3C PNG section 11.3.3; WebP: RFC 9649;
HEIC, AVIF, CR3 and JPEG XL: ISO/IEC 14496-12 and 18181-2.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from maclip_daemon.metadata.content.photo_file import PhotoFile

_HEAD = 96 << 10  # bytes read at once: the metadata of most JPEGs
_EXTENSION_LIMIT = 64 << 20  # bytes of extended XMP; depth maps have some
_BOXES_LIMIT = 2000  # boxes, chunks or segments of one file
_META_LIMIT = 8 << 20  # bytes of a box that lists the items of a HEIC
_XMP_IN_JPEG = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENSION_IN_JPEG = b"http://ns.adobe.com/xmp/extension/\0"
_EXTENSION_HEAD = len(_EXTENSION_IN_JPEG) + 32 + 8  # with the GUID, the full length and the offset
_PNG = b"\x89PNG\r\n\x1a\n"
_XMP_IN_PNG = (b"XML:com.adobe.xmp\0", b"Raw profile type xmp\0")
_XMP_IN_BOXES = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_MIME_OF_XMP = b"application/rdf+xml"
_JXL = b"\0\0\0\x0cJXL \r\n\x87\n"
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_START_OF_SCAN, _END, _APP1 = 0xDA, 0xD9, 0xE1


@dataclass(frozen=True)
class FoundPackets:
    """The XMP that a container holds."""

    count: int = 0
    """Packets, without extended XMP."""
    extension: bytes = b""
    """The extended XMP of a JPEG, which does not fit into one segment."""


def find(photo: PhotoFile, *, only_jpeg: bool = False) -> FoundPackets:
    """Return the XMP packets of a JPEG, PNG, WebP, HEIC, AVIF, CR3 or JPEG XL; none for other formats.

    `only_jpeg`: look into JPEGs alone. Raises `OSError`.
    """
    with photo.opened(_HEAD) as file:
        head = file.read(16)
        if head.startswith(b"\xff\xd8"):
            return _in_jpeg(file)
        if only_jpeg:
            return FoundPackets()
        if head.startswith(_PNG):
            return FoundPackets(sum(_chunks_of_png(file)))
        if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            return FoundPackets(sum(_chunks_of_webp(file)))
        if head[4:8] == b"ftyp" or head.startswith(_JXL):
            return FoundPackets(sum(_boxes(file)))
    return FoundPackets()


def _in_jpeg(file: BinaryIO) -> FoundPackets:
    count = 0
    extension: list[bytes] = []
    size = 0
    file.seek(2)
    for _ in range(_BOXES_LIMIT):
        head = file.read(4)
        while head[:2] == b"\xff\xff":
            head = head[1:] + file.read(1)  # fill bytes before a marker
        if len(head) < 4 or head[0] != 0xFF or head[1] in (_START_OF_SCAN, _END):
            break
        if head[1] in _STANDALONE:
            file.seek(-2, os.SEEK_CUR)
            continue
        length = int.from_bytes(head[2:]) - 2
        if head[1] != _APP1:
            file.seek(max(length, 0), os.SEEK_CUR)
            continue
        content = file.read(max(length, 0))
        count += content.startswith(_XMP_IN_JPEG)
        if content.startswith(_EXTENSION_IN_JPEG) and size < _EXTENSION_LIMIT:
            extension.append(content[_EXTENSION_HEAD:])
            size += length
    return FoundPackets(count, b"".join(extension))


def _chunks_of_png(file: BinaryIO) -> Iterator[bool]:
    file.seek(len(_PNG))
    while len(head := file.read(8)) == 8:
        length, name = int.from_bytes(head[:4]), head[4:]
        if name in (b"iTXt", b"tEXt", b"zTXt"):
            begin = file.read(min(length, 32))
            yield begin.startswith(_XMP_IN_PNG)
            length -= len(begin)
        if name == b"IEND":
            return
        file.seek(length + 4, os.SEEK_CUR)


def _chunks_of_webp(file: BinaryIO) -> Iterator[bool]:
    file.seek(12)
    for _ in range(_BOXES_LIMIT):
        head = file.read(8)
        if len(head) < 8:
            return
        length = int.from_bytes(head[4:], "little")
        yield head[:4] == b"XMP "
        file.seek(length + length % 2, os.SEEK_CUR)


def _boxes(file: BinaryIO) -> Iterator[bool]:
    position = 0
    for _ in range(_BOXES_LIMIT):
        file.seek(position)
        head = file.read(16)
        if len(head) < 8:
            return
        size, name, start = int.from_bytes(head[:4]), head[4:8], 8
        if size == 1:
            size, start = int.from_bytes(head[8:16]), 16
        file.seek(position + start)
        if name == b"meta":
            yield _MIME_OF_XMP in file.read(min(size, _META_LIMIT) if size else _META_LIMIT)
        elif name == b"uuid":
            yield file.read(16) == _XMP_IN_BOXES
        elif name == b"brob":
            yield file.read(4) == b"xml "
        else:
            yield name == b"xml "
        if size < start:  # 0: the last one, to the end of the file
            return
        position += size
