"""Directories of a TIFF: which of its pictures is the photo (TIFF 6.0, section 2; TIFF-EP)."""

from __future__ import annotations

from typing import Any, BinaryIO, NamedTuple

from PIL import TiffImagePlugin

_MOST_DIRECTORIES = 64  # a loop of directories must end
_SUB_DIRECTORIES = 330
_SUBFILE_TYPE, _OLD_SUBFILE_TYPE = 254, 255
_WIDTH, _HEIGHT, _PHOTOMETRIC = 256, 257, 262
_SENSOR_DATA = (32803, 34892)  # photometric interpretations: colour filter array, linear RAW
_DNG_VERSION = 50706
_REDUCED, _MASK, _OLD_REDUCED = 1, 4, 2
_SAME_ASPECT = 0.05  # of the ratio of sides; thumbnails are rounded to whole pixels
_THUMBNAIL_FACTOR = 2  # how much longer the photo's sides are, at the least


class TiffDirectory(NamedTuple):
    """One picture of a TIFF."""

    offset: int
    """Bytes from the start of the file."""
    page: int | None
    """Its number in the main chain, from 0; None for a directory below another one."""
    tags: Any
    """Pillow's `ImageFileDirectory_v2`."""

    @property
    def size(self) -> tuple[int, int]:
        """Return (width, height) in pixels as stored; zeros where they are missing."""
        width, height = self.tags.get(_WIDTH), self.tags.get(_HEIGHT)
        return (width, height) if isinstance(width, int) and isinstance(height, int) else (0, 0)

    @property
    def is_reduced(self) -> bool:
        """Return whether it is marked as a smaller version of another picture, or as a mask."""
        kind = self.tags.get(_SUBFILE_TYPE, 0)
        marked = isinstance(kind, int) and bool(kind & (_REDUCED | _MASK))
        return marked or self.tags.get(_OLD_SUBFILE_TYPE) == _OLD_REDUCED


def read_directories(file: BinaryIO) -> list[TiffDirectory]:
    """Return the directories of a TIFF, those below another one included; raises what Pillow raises."""
    file.seek(0)
    head = file.read(8)
    if head[2:3] == b"+" or head[3:4] == b"+":
        head += file.read(8)
    waiting: list[tuple[int, int | None]] = [(TiffImagePlugin.ImageFileDirectory_v2(head).next, 0)]
    found: list[TiffDirectory] = []
    seen: set[int] = set()
    while waiting and len(found) < _MOST_DIRECTORIES:
        offset, page = waiting.pop(0)
        if offset <= 0 or offset in seen:
            continue
        seen.add(offset)
        directory = _read(file, head, offset, page)
        found.append(directory)
        below = offsets_in(directory.tags.get(_SUB_DIRECTORIES))
        following = offsets_in(directory.tags.next)
        waiting += [(each, None if page is None else page + 1) for each in following]
        waiting += [(each, None) for each in below]
    return found


def photo_in(directories: list[TiffDirectory]) -> TiffDirectory:
    """Return the directory of the photo: the first that is neither reduced nor an unmarked thumbnail.

    A thumbnail without a mark is told by a later picture of the same aspect with sides twice as long.
    """
    chosen = next((each for each in directories if not each.is_reduced), directories[0])
    for other in directories:
        if not other.is_reduced and _is_enlarged(chosen.size, other.size):
            chosen = other
    return chosen


def holds_sensor_data(directories: list[TiffDirectory]) -> bool:
    """Return whether it is a camera RAW, whatever its name: a DNG, or a directory with sensor data."""
    return any(
        _DNG_VERSION in each.tags or each.tags.get(_PHOTOMETRIC) in _SENSOR_DATA for each in directories
    )


def offsets_in(value: object) -> list[int]:
    """Return the numbers of a tag that has one, several or none."""
    values = value if isinstance(value, tuple) else (value,)
    return [number for number in values if isinstance(number, int)]


def _read(file: BinaryIO, head: bytes, offset: int, page: int | None) -> TiffDirectory:
    file.seek(offset)
    tags = TiffImagePlugin.ImageFileDirectory_v2(head)
    tags.load(file)
    return TiffDirectory(offset, page, tags)


def _is_enlarged(small: tuple[int, int], large: tuple[int, int]) -> bool:
    if not all(small) or min(large) < _THUMBNAIL_FACTOR * min(small):
        return False
    aspects = small[0] / small[1], large[0] / large[1]
    return abs(aspects[0] / aspects[1] - 1) <= _SAME_ASPECT
