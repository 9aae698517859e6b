"""The structure of JPEG data, checked marker by marker (ITU-T T.81, annex B).

libjpeg fills missing or wrong parts with grey, and Pillow drops its warnings. A half grey photo would get a
score, so its structure is checked before it is decoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

EOI, SOS, DRI, _DHT = 0xD9, 0xDA, 0xDD, 0xC4
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers that begin a frame (T.81, table B.1)."""
_SEQUENTIAL_HUFFMAN = (0xC0, 0xC1)
_END_OF_BLOCK = 0x00
# Bytes. A broken copy or card leaves holes of zeros, a sector or a cluster long.
_HOLE = bytes(256)
WITHOUT_LENGTH = frozenset({0x00, 0x01, *range(0xD0, 0xD8)})
"""Bytes after FF that begin no segment: a stuffed byte, TEM, and RST0 to RST7."""
# T.81 B.2.1 and B.2.4: markers between two scans, beside SOS itself.
_BETWEEN_SCANS = frozenset({0xC4, 0xCC, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)})
# In entropy-coded data FF is followed by 00 (a stuffed byte) or begins a marker. Fill bytes FF may precede:
# they are not part of the pattern, because one that begins with a plain byte is twenty times faster.
_SCAN_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
RESTART = re.compile(rb"\xff([\xd0-\xd7])")
_TRAILING_ZEROS = 2  # bytes of zeros that may still belong to the picture


class Damage(NamedTuple):
    """What is wrong with a JPEG."""

    reason: str
    possible_ends: tuple[int, ...] = ()
    """Where the picture may have ended all the same, with every coded block (`jpeg_completeness`)."""


class JpegSegment(NamedTuple):
    """A marker segment; a scan's includes the entropy-coded data after its header."""

    marker: int
    content: memoryview
    """The bytes after the two bytes of length."""


def damage(data: bytes) -> Damage | None:
    """Return what is wrong with the structure of a JPEG's first picture; None when it is whole.

    Bytes after its end marker (motion photos, multi-picture previews, padding) do not count.
    """
    position, restart_interval, scans, frame = 2, 0, 0, 0
    zeros_are_data = False
    first_symbols: dict[int, int] = {}
    while True:
        position = data.find(b"\xff", position)
        while position >= 0 and data[position + 1 : position + 2] == b"\xff":
            position += 1
        if position < 0 or position + 1 >= len(data):
            return _cut_off(data, scans, zeros_are_data)
        marker = data[position + 1]
        if marker == EOI:
            return None if scans else Damage("it holds no picture data")
        if marker in WITHOUT_LENGTH:
            position += 2
            continue
        if position + 4 > len(data):
            return _cut_off(data, scans, zeros_are_data)
        if scans and marker not in _BETWEEN_SCANS and marker != SOS:
            reason = f"its picture data is corrupt (marker {marker:02X} after byte {position})"
            return Damage(reason, _possible_ends(data, position, zeros_are_data))
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == DRI:
            restart_interval = int.from_bytes(data[position + 4 : position + 6], "big")
        elif marker == _DHT:
            first_symbols |= _first_symbols(data[position + 4 : position + 2 + length])
        elif marker in FRAMES:
            frame = marker
        header = data[position + 4 : position + 2 + length]
        position += 2 + length
        if marker != SOS:
            continue
        scans += 1
        end = end_of_scan(data, position)
        zeros_are_data = _zeros_mean_end_of_block(header, first_symbols)
        if restart_interval and not _restarts_in_order(data, position, end):
            return Damage(f"its picture data is corrupt (a piece is missing before byte {end})")
        if end == len(data):
            return _cut_off(data, scans, zeros_are_data)
        if frame in _SEQUENTIAL_HUFFMAN and not zeros_are_data:
            hole = data.find(_HOLE, position, end)
            if hole >= 0:
                reason = f"its picture data is corrupt (a hole of zeros at byte {hole})"
                is_last = not data[hole:end].strip(b"\0")
                return Damage(reason, _possible_ends(data, end, False) if is_last else ())
        position = end


def segments(data: bytes) -> Iterator[JpegSegment]:
    """Yield the segments of a JPEG from its start to the end marker of its first picture."""
    whole = memoryview(data)
    position = 2
    while 0 <= (position := data.find(b"\xff", position)) < len(data) - 1:
        marker = data[position + 1]
        if marker == 0xFF or marker in WITHOUT_LENGTH:
            position += 1 if marker == 0xFF else 2
            continue
        if marker == EOI:
            return
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == SOS:
            end = end_of_scan(data, end)
        yield JpegSegment(marker, whole[position + 4 : end])
        position = end


def end_of_scan(data: bytes, start: int) -> int:
    """Return where the entropy-coded data from `start` end: at the next marker, or with the file."""
    found = _SCAN_MARKER.search(data, start)
    return len(data) if found is None else found.start()


def _first_symbols(tables: bytes) -> dict[int, int]:
    """Return the all-zeros code's symbol of each AC Huffman table in a DHT segment (T.81 B.2.4.2)."""
    symbols = {}
    while len(tables) > 17:
        kind, lengths = tables[0], tables[1:17]
        if kind >> 4 == 1:
            symbols[kind & 15] = tables[17]
        tables = tables[17 + sum(lengths) :]
    return symbols


def _zeros_mean_end_of_block(scan_header: bytes, first_symbols: dict[int, int]) -> bool:
    """Return whether a long run of zero bits can be a picture: a flat area, if zeros mean "end of block".

    In any other table they mean coefficients, every one of them at its negative extreme.
    """
    tables = scan_header[2 : 1 + 2 * scan_header[0] : 2] if scan_header else b""
    return all(first_symbols.get(table & 15, _END_OF_BLOCK) == _END_OF_BLOCK for table in tables)


def _restarts_in_order(data: bytes, start: int, end: int) -> bool:
    """Return whether RST0, RST1 … RST7, RST0 follow each other; a lost piece leaves a gap."""
    return all(
        found[1][0] - 0xD0 == expected % 8
        for expected, found in enumerate(RESTART.finditer(data, start, end))
    )


def _cut_off(data: bytes, scans: int, zeros_are_data: bool) -> Damage:
    if not scans:
        return Damage("it is cut off before the picture begins")
    return Damage("it is cut off (no end marker)", _possible_ends(data, len(data), zeros_are_data))


def _possible_ends(data: bytes, end: int, zeros_are_data: bool) -> tuple[int, ...]:
    """Return where a picture may end whose last bytes before `end` may be padding of zeros.

    Few zeros may belong to it: the last blocks of a flat corner.
    """
    if zeros_are_data:
        return (end,)
    padded = end
    while padded > 0 and data[padded - 1] == 0:
        padded -= 1
    return tuple(range(padded, min(padded + _TRAILING_ZEROS, end) + 1))
