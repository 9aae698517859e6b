"""Whether a RAW file is whole. Its preview sits near the front and would hide that the rest is missing.

Only what the container says about its own length is read: the strips and tiles of TIFF-based files (DNG, CR2,
NEF, ARW, PEF …) and the boxes of CR3 (ISO 14496-12). The containers of RAF, ORF and RW2 do not say.
"""

from __future__ import annotations

import os
from typing import BinaryIO

from PIL import TiffImagePlugin

_SUB_DIRECTORIES = 330
_EXTENTS = ((273, 279), (324, 325), (513, 514))  # offsets and byte counts of strips, tiles, previews
_MOST_DIRECTORIES = 64  # a loop of directories must end


def missing_bytes(file: BinaryIO) -> int | None:
    """How many bytes this file ought to have after its end; 0 when it is whole, None when it does not say."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(8)
    if head[:4] in (b"II*\0", b"MM\0*"):
        end = _end_of_tiff(file, head)
    elif head[4:8] == b"ftyp":
        end = _end_of_boxes(file, size)
    else:
        return None
    file.seek(0)
    return max(0, end - size)


def _end_of_tiff(file: BinaryIO, head: bytes) -> int:
    end = 0
    seen: set[int] = set()
    directory = TiffImagePlugin.ImageFileDirectory_v2(head)
    waiting: list[int] = [directory.next]
    while waiting and len(seen) < _MOST_DIRECTORIES:
        offset = waiting.pop()
        if not isinstance(offset, int) or offset <= 0 or offset in seen:
            continue
        seen.add(offset)
        file.seek(offset)
        directory = TiffImagePlugin.ImageFileDirectory_v2(head)
        directory.load(file)
        for offsets, counts in _EXTENTS:
            pairs = zip(_numbers(directory.get(offsets)), _numbers(directory.get(counts)), strict=False)
            end = max(end, *(start + count for start, count in pairs), 0)
        waiting += [directory.next, *_numbers(directory.get(_SUB_DIRECTORIES))]
    return end


def _end_of_boxes(file: BinaryIO, size: int) -> int:
    position = 0
    while position < size:
        file.seek(position)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if len(header) < 8 or length < 8:  # 0: the box reaches to the end of the file
            return position if length == 0 else position + 8
        position += length
    return position


def _numbers(value: object) -> list[int]:
    values = value if isinstance(value, tuple) else (value,)
    return [number for number in values if isinstance(number, int)]
