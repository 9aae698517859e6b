"""A delta that makes the old bytes of a file out of the new ones, small enough for the journal.

Our writes insert or change a few hundred bytes of metadata in files of many megabytes. The delta is a list
of pieces, each copied from the new file or carried along.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_LENGTH = struct.Struct(">I")
_PROBE = 64  # bytes; long enough to be unique in image data
_WORTH_COPYING = 128  # bytes; shorter common pieces cost more in the list than they save
_DEPTH = 8  # halvings; WebP, the most scattered of the formats, needs three


@dataclass(frozen=True)
class UndoDelta:
    """All that undo needs besides the file itself.

    `pieces` are (offset, length) to be copied from the new file; an offset of -1 takes the next `length`
    bytes of `carried`. `mode` and `mtime_ns` are the old ones; for a created file all is empty. It is empty
    too where undo `takes_out` what is ours, because no earlier bytes are known (another library's write).
    """

    created: bool
    mode: int = 0
    mtime_ns: int = 0
    pieces: tuple[tuple[int, int], ...] = ()
    carried: bytes = b""
    takes_out: bool = False

    @classmethod
    def taking_out(cls) -> UndoDelta:
        """Return the record of a write whose undo takes out what is ours, whatever else the file holds."""
        return cls(created=False, takes_out=True)

    def encode(self) -> bytes:
        """Return bytes for the journal: the length of a JSON head, the head, the carried bytes."""
        head = json.dumps(
            {
                "version": 1,
                "created": self.created,
                "mode": self.mode,
                "mtime_ns": self.mtime_ns,
                "pieces": self.pieces,
                "takes_out": self.takes_out,
            }
        ).encode("ascii")
        return _LENGTH.pack(len(head)) + head + self.carried

    @classmethod
    def decode(cls, data: bytes) -> UndoDelta:
        """Return the delta that `encode` stored. Raises `ValueError` when the bytes are not such a record."""
        if len(data) < _LENGTH.size:
            raise ValueError("the restore data is cut off")
        end = _LENGTH.size + _LENGTH.unpack_from(data)[0]
        head = json.loads(data[_LENGTH.size : end])
        if head["version"] != 1:
            raise ValueError(f"the restore data has the unknown version {head['version']}")
        pieces = tuple((offset, length) for offset, length in head["pieces"])
        takes_out = head.get("takes_out", False)
        return cls(head["created"], head["mode"], head["mtime_ns"], pieces, data[end:], takes_out)

    def apply(self, new: bytes) -> bytes:
        """Return the old bytes, from the new ones."""
        taken = 0
        parts = []
        for offset, length in self.pieces:
            if offset < 0:
                parts.append(self.carried[taken : taken + length])
                taken += length
            else:
                parts.append(new[offset : offset + length])
        return b"".join(parts)


def joined(older: UndoDelta, newer: UndoDelta) -> UndoDelta:
    """Return the delta that leads back over both of two successive writes, without the bytes between them.

    Raises `ValueError` when the deltas cannot belong together, or one of them does not restore bytes.
    """
    if newer.created or newer.takes_out or older.takes_out:
        raise ValueError("only deltas that restore bytes can be joined")
    if older.created:
        return older
    found: list[tuple[int, int, bytes]] = []
    taken = 0
    for offset, length in older.pieces:
        if offset < 0:
            _append(found, -1, length, older.carried[taken : taken + length])
            taken += length
        else:
            for source, size, carried in _part(newer, offset, length):
                _append(found, source, size, carried)
    pieces = tuple((offset, length) for offset, length, _ in found)
    return UndoDelta(False, older.mode, older.mtime_ns, pieces, b"".join(carried for _, _, carried in found))


def _part(delta: UndoDelta, start: int, length: int) -> Iterator[tuple[int, int, bytes]]:
    """Cut `length` of the bytes that a delta makes, from `start` on, into (offset or -1, length, carried)."""
    end = start + length
    begins = taken = 0
    for offset, size in delta.pieces:
        first, last = max(start, begins), min(end, begins + size)
        if first < last:
            if offset < 0:
                carried = delta.carried[taken + first - begins : taken + last - begins]
                yield -1, last - first, carried
            else:
                yield offset + first - begins, last - first, b""
        begins += size
        taken += size if offset < 0 else 0
    if begins < end:
        raise ValueError("the older delta copies bytes that the newer one does not make")


def _append(found: list[tuple[int, int, bytes]], offset: int, length: int, carried: bytes) -> None:
    """Add a piece, or lengthen the last one where the new one goes on from it."""
    if found:
        last_offset, last_length, last_carried = found[-1]
        if offset < 0 and last_offset < 0:
            found[-1] = (-1, last_length + length, last_carried + carried)
            return
        if last_offset >= 0 and last_offset + last_length == offset:
            found[-1] = (last_offset, last_length + length, b"")
            return
    found.append((offset, length, carried))


def between(old: bytes, new: bytes, *, mode: int, mtime_ns: int) -> UndoDelta:
    """Return the delta that makes `old` out of `new`."""
    pieces: list[tuple[int, int]] = []
    carried: list[bytes] = []
    for offset, start, end in _match(old, new, 0, len(old), 0, len(new), _DEPTH):
        if offset < 0:
            carried.append(old[start:end])
        pieces.append((offset, end - start))
    return UndoDelta(False, mode, mtime_ns, tuple(pieces), b"".join(carried))


def _match(
    old: bytes, new: bytes, old_start: int, old_end: int, new_start: int, new_end: int, depth: int
) -> Iterator[tuple[int, int, int]]:
    """Cut old[old_start:old_end] into (offset in new or -1, start, end), in order and without gaps."""
    limit = min(old_end - old_start, new_end - new_start)
    prefix = _common(
        limit, lambda size: old[old_start : old_start + size] == new[new_start : new_start + size]
    )
    limit -= prefix
    suffix = _common(limit, lambda size: old[old_end - size : old_end] == new[new_end - size : new_end])
    if prefix:
        yield new_start, old_start, old_start + prefix
    yield from _middle(
        old, new, old_start + prefix, old_end - suffix, new_start + prefix, new_end - suffix, depth
    )
    if suffix:
        yield new_end - suffix, old_end - suffix, old_end


def _middle(
    old: bytes, new: bytes, old_start: int, old_end: int, new_start: int, new_end: int, depth: int
) -> Iterator[tuple[int, int, int]]:
    """Cut the part between prefix and suffix: find its centre in the new bytes and go on from there."""
    if old_start >= old_end:
        return
    centre = (old_start + old_end) // 2
    found = -1
    if depth and old_end - old_start >= _WORTH_COPYING:
        found = new.find(old[centre : centre + _PROBE], new_start, new_end)
    if found < 0:
        yield -1, old_start, old_end
        return
    yield from _match(old, new, old_start, centre, new_start, found, depth - 1)
    yield from _match(old, new, centre, old_end, found, new_end, depth - 1)


def _common(limit: int, equal: Callable[[int], bool]) -> int:
    """Return the largest size up to `limit` for which `equal` holds, by halving: it compares blocks in C."""
    low, high = 0, limit
    while low < high:
        size = (low + high + 1) // 2
        if equal(size):
            low = size
        else:
            high = size - 1
    return low
