"""Camera RAW: the preview that the camera embedded, or a plain development of the sensor data.

A preview is what the photographer saw and costs a tenth of a development. Development is without automatic
brightness, which would lift under-exposed photos and make their scores lie. A preview lies near the front of
the file and would hide that the rest is missing, so the file's length is checked first.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import os
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

import rawpy
from PIL import Image

from maclip_daemon.errors import Poison
from maclip_daemon.iqa.protocols import Protocol
from maclip_daemon.iqa.tile_grid import SLACK
from maclip_daemon.photos.containers.tiff_directories import offsets_in, read_directories
from maclip_daemon.photos.decode_errors import ADVICE, check_pixels, poison_on_error, unsupported
from maclip_daemon.photos.exif import EXIF_ERRORS, orientation_of, taken_at
from maclip_daemon.photos.shots.shot_exif import shot_info_from
from maclip_daemon.photos.stills import Enough, Still, decode_still
from maclip_daemon.photos.upright_picture import UprightPicture, as_seen, to_rgb, upright, upright_size

SMALLEST_SHORT_SIDE = 448  # pixels; below, the default protocol would enlarge it, and score the blur
_DNG_VERSION = 50706  # the TIFF tag that makes a DNG
_ORIENTATION_OF_FLIP = {0: 1, 1: 2, 2: 4, 3: 3, 4: 5, 5: 8, 6: 6, 7: 7}  # LibRaw's flip → EXIF orientation
_EXTENTS = ((273, 279), (324, 325), (513, 514))  # offsets and byte counts of strips, tiles, previews


class NotRaw(Poison):
    """LibRaw does not know this file."""


@dataclass(frozen=True)
class ReadingOptions:
    """How pictures are read; see `decoding.decode`."""

    max_megapixels: float
    exif_rotation: bool
    colour_conversion: bool
    enough: Enough | None = None
    """As for `stills.decode_still`."""


def decode_raw(file: BinaryIO, protocol: Protocol, how: ReadingOptions) -> UprightPicture:
    """Return the largest preview of a RAW file if that is large enough, else its development.

    Large enough is a short side of 448 pixels, or of the protocol's size or tiles if that is more. Half of
    the RAW's own short side always suffices: a development at half size has no more. Raises `NotRaw` for a
    file that LibRaw does not know, else the errors of `stills.decode_still`.
    """
    file.seek(0)
    if not file.read(1):
        raise Poison(f"it is empty (0 bytes). {ADVICE}")
    with poison_on_error("RAW data"):
        container_exif = _container_exif(file)
        missing = missing_bytes(file)
        if missing and container_exif is not None and _DNG_VERSION in container_exif:
            raise Poison(f"the RAW is cut off: {missing} bytes are missing. {ADVICE}")
        file.seek(0)
        with rawpy.RawPy() as raw:
            _open_buffer(raw, file, missing)
            sizes = raw.sizes
            check_pixels(sizes.raw_width, sizes.raw_height, how.max_megapixels)
            if missing != 0:
                # The container does not tell, or is wrong (cameras count loosely): reading it all decides.
                raw.unpack()
            orientation = _ORIENTATION_OF_FLIP.get(sizes.flip, 1) if how.exif_rotation else 1
            full_size = upright_size(sizes.width, sizes.height, orientation)
            need = _need_of(protocol, full_size)
            preview = _preview(raw, how, need)
            moment = taken_at(container_exif)
            small = None
            if preview is not None and min(preview.width, preview.height) >= need.picture:
                small = _upright_preview(preview, how, orientation, full_size)
            moment = moment or (taken_at(preview.exif) if preview else None) or _timestamp(raw)
            shot = shot_info_from(container_exif, preview.exif if preview else None)
            if small is not None and preview and min(preview.width, preview.height) >= need.tiles:
                return dataclasses.replace(small, taken_at=moment, shot=shot)
            image = _developed(raw, need, orientation)
    return UprightPicture(image, *full_size, moment, None, orientation, None, shot, small, is_developed=True)


@dataclass(frozen=True)
class _Need:
    """The short sides of a picture, in pixels, that have all that a protocol shows."""

    picture: int
    tiles: int


def _need_of(protocol: Protocol, full_size: tuple[int, int]) -> _Need:
    short_side = min(full_size)
    asked = min(min(protocol.target_size(*full_size)), short_side // 2)
    tiles = min(min(protocol.tiled_size(*full_size)), short_side // 2)
    return _Need(min(short_side, max(SMALLEST_SHORT_SIDE, asked)), int(tiles * (1 - SLACK)))


def _upright_preview(
    preview: Still, how: ReadingOptions, orientation: int, full_size: tuple[int, int]
) -> UprightPicture:
    if how.exif_rotation:
        orientation = _orientation(preview, orientation_of(preview.exif), orientation, full_size)
    colours = preview.colours if how.colour_conversion else None
    flat = as_seen(preview.image, colours) if how.colour_conversion else to_rgb(preview.image)
    return UprightPicture(upright(flat, orientation), *full_size, None, preview.jpeg, orientation, colours)


def _open_buffer(raw: Any, file: BinaryIO, missing: int | None) -> None:
    try:
        raw.open_buffer(file)
    except rawpy.LibRawFileUnsupportedError:
        if missing:
            raise Poison(f"the RAW is cut off: {missing} bytes are missing. {ADVICE}") from None
        kind = "a RAW of a camera that LibRaw does not know, or no RAW at all"
        raise NotRaw(str(unsupported(kind))) from None


def _preview(raw: Any, how: ReadingOptions, need: _Need) -> Still | None:
    """Return the largest preview; None when it is missing, damaged or of an unknown kind.

    A JPEG is decoded at the smallest of its fractions that has what the RAW's tiles show.
    """
    try:
        thumbnail = raw.extract_thumb()
        if thumbnail.format == rawpy.ThumbFormat.BITMAP:
            image = Image.fromarray(thumbnail.data)
            return Still(image, image.width, image.height, None)
        if thumbnail.format == rawpy.ThumbFormat.JPEG:
            enough = how.enough and functools.partial(_enough, how.enough, need)
            return decode_still(io.BytesIO(thumbnail.data), how.max_megapixels, enough)
    except (rawpy.LibRawError, rawpy.NotSupportedError, Poison):
        pass
    return None


def _enough(enough: Enough, need: _Need, width: int, height: int) -> tuple[int, int]:
    """Return the smallest size for a preview: by its own size, and by that of the RAW's tiles."""
    share = min(1.0, need.tiles / min(width, height))
    by_itself = enough(width, height)
    return max(by_itself[0], int(width * share)), max(by_itself[1], int(height * share))


def _orientation(preview: Still, own: int | None, of_raw: int, full_size: tuple[int, int]) -> int:
    """Return the orientation by which the preview becomes upright.

    Some makers turn the preview's pixels, some note the orientation in the preview, most only in the RAW.
    The first orientation that leads to the RAW's own aspect (portrait or landscape) is right.
    """
    candidates = [own or of_raw, of_raw, 1]
    wide = full_size[0] >= full_size[1]
    for candidate in candidates:
        width, height = upright_size(preview.width, preview.height, candidate)
        if (width >= height) == wide:
            return candidate
    return candidates[0]


def _developed(raw: Any, need: _Need, orientation: int) -> Image.Image:
    """Develop the sensor data; at half size, which needs no demosaicing, where that is enough.

    Enough is twice the picture, and the tiles as they are.
    """
    half_is_enough = min(raw.sizes.width, raw.sizes.height) // 2 >= max(2 * need.picture, need.tiles)
    pixels = raw.postprocess(
        half_size=half_is_enough,
        no_auto_bright=True,
        use_camera_wb=True,
        output_bps=8,
        user_flip=0,
    )
    return upright(to_rgb(Image.fromarray(pixels)), orientation)


def _container_exif(file: BinaryIO) -> Image.Exif | None:
    file.seek(0)
    if file.read(4) not in (b"II*\0", b"MM\0*"):
        return None
    file.seek(0)
    exif = Image.Exif()
    try:
        exif.load_from_fp(file)
    except EXIF_ERRORS:
        return None
    return exif


def _timestamp(raw: Any) -> datetime | None:
    moment = raw.other.timestamp
    return moment if isinstance(moment, datetime) and moment.year > 1990 else None


def missing_bytes(file: BinaryIO) -> int | None:
    """Return how many bytes are missing at the end of a RAW file; None when its container does not tell.

    The strips and tiles of TIFF-based files (DNG, CR2, NEF, ARW, PEF …) and the boxes of CR3 (ISO 14496-12)
    tell; the containers of RAF, ORF and RW2 do not.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(8)
    if head[:4] in (b"II*\0", b"MM\0*"):
        end = _end_of_tiff(file)
    elif head[4:8] == b"ftyp":
        end = _end_of_boxes(file, size)
    else:
        return None
    file.seek(0)
    return max(0, end - size)


def _end_of_tiff(file: BinaryIO) -> int:
    end = 0
    for directory in read_directories(file):
        for offsets, counts in _EXTENTS:
            starts, lengths = (offsets_in(directory.tags.get(tag)) for tag in (offsets, counts))
            end = max(end, *(start + count for start, count in zip(starts, lengths, strict=False)), 0)
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
