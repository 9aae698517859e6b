"""Boxes of HEIC and AVIF files: how the primary picture's colours are coded (ISO 14496-12, ISO 23008-12)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

_LARGEST_META = 16 << 20  # bytes; the box lists items, it holds no pictures
_MOST_BOXES = 10_000


class IsoBox(NamedTuple):
    """One box."""

    kind: bytes
    content: bytes


def boxes(data: bytes) -> Iterator[IsoBox]:
    """Yield the boxes in `data` one after the other; stop where they make no sense."""
    position = 0
    for _ in range(_MOST_BOXES):
        if position + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, position)
        start = position + 8
        if length == 1 and position + 16 <= len(data):
            (length,) = struct.unpack_from(">Q", data, position + 8)
            start = position + 16
        end = len(data) if length == 0 else position + length
        if end < start:
            return
        yield IsoBox(kind, data[start:end])
        position = end


def first(data: bytes, kind: bytes) -> bytes:
    """Return the content of the first box of this kind; empty without one."""
    return next((box.content for box in boxes(data) if box.kind == kind), b"")


def nclx(data: bytes) -> tuple[int, int] | None:
    """Return (primaries, transfer) of the primary picture's `colr` box of type `nclx`; None without one.

    The numbers are those of ITU-T H.273. `data`: the whole file.
    """
    meta = first(data, b"meta")[4 : 4 + _LARGEST_META]
    properties = list(boxes(first(first(meta, b"iprp"), b"ipco")))
    associated = _associated(first(first(meta, b"iprp"), b"ipma"), _primary_item(first(meta, b"pitm")))
    for index in associated or range(1, len(properties) + 1):
        if 0 < index <= len(properties):
            kind, content = properties[index - 1]
            if kind == b"colr" and content[:4] == b"nclx" and len(content) >= 8:
                primaries, transfer = struct.unpack_from(">HH", content, 4)
                return primaries, transfer
    return None


def _primary_item(pitm: bytes) -> int:
    if len(pitm) < 6:
        return 0
    return int.from_bytes(pitm[4:6] if pitm[0] == 0 else pitm[4:8], "big")


def _associated(ipma: bytes, item: int) -> list[int]:
    """Return the numbers of the properties of an item (ISO 14496-12, 8.11.14), from 1."""
    if len(ipma) < 8:
        return []
    item_bytes, is_wide = (2 if ipma[0] < 1 else 4), bool(ipma[3] & 1)
    position = 8
    for _ in range(int.from_bytes(ipma[4:8], "big")):
        if position + item_bytes + 1 > len(ipma):
            break
        number = int.from_bytes(ipma[position : position + item_bytes], "big")
        count = ipma[position + item_bytes]
        start, width = position + item_bytes + 1, 2 if is_wide else 1
        position = start + count * width
        if number == item:
            entries = [ipma[at : at + width] for at in range(start, position, width)]
            mask = 0x7FFF if is_wide else 0x7F  # the highest bit says "essential"
            return [int.from_bytes(entry, "big") & mask for entry in entries]
    return []
