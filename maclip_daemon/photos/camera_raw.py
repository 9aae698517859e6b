"""Camera RAW: the preview that the camera embedded, or a plain development of the sensor data.

A preview is what the photographer saw and costs a tenth of a development. Development is without automatic
brightness, which would lift under-exposed photos and make their scores lie. A preview lies near the front of
the file and would hide that the rest is missing, so the file's length is checked first.
"""

from __future__ import annotations

import io
import os
from datetime import datetime
from typing import Any, BinaryIO

import rawpy
from PIL import Image, TiffImagePlugin

from maclip_daemon.errors import Poison
from maclip_daemon.iqa.protocols import Protocol
from maclip_daemon.photos.decode_errors import ADVICE, check_pixels, poison_on_error
from maclip_daemon.photos.exif import EXIF_ERRORS, exif_of, orientation_of, taken_at
from maclip_daemon.photos.formats import Family
from maclip_daemon.photos.stills import Enough, Still, decode_still, identify, wrong_suffix
from maclip_daemon.photos.upright_picture import UprightPicture, to_rgb, upright, upright_size

SMALLEST_SHORT_SIDE = 448  # pixels; below, the default protocol would enlarge it, and score the blur
_DNG_VERSION = 50706  # the TIFF tag that makes a DNG
_ORIENTATION_OF_FLIP = {0: 1, 1: 2, 2: 4, 3: 3, 4: 5, 5: 8, 6: 6, 7: 7}  # LibRaw's flip → EXIF orientation
_SUB_DIRECTORIES = 330
_EXTENTS = ((273, 279), (324, 325), (513, 514))  # offsets and byte counts of strips, tiles, previews
_MOST_DIRECTORIES = 64  # a loop of directories must end


def decode_raw(
    file: BinaryIO,
    protocol: Protocol,
    *,
    max_megapixels: float,
    exif_rotation: bool,
    enough: Enough | None = None,
) -> UprightPicture:
    """Return the largest preview of a RAW file if that is large enough, else its development.

    Large enough is a short side of 448 pixels, or of the protocol's size if that is more. Half of the RAW's
    own short side always suffices: a development at half size has no more. `enough` and the errors raised are
    those of `stills.decode_still`.
    """
    held = identify(file)
    file.seek(0)
    if held not in (None, "TIFF"):
        raise wrong_suffix(Family.RAW, held)
    with poison_on_error("RAW data"):
        container_exif = _container_exif(file)
        missing = missing_bytes(file)
        if missing and container_exif is not None and _DNG_VERSION in container_exif:
            raise Poison(f"the RAW is cut off: {missing} bytes are missing. {ADVICE}")
        file.seek(0)
        with rawpy.RawPy() as raw:
            raw.open_buffer(file)
            sizes = raw.sizes
            check_pixels(sizes.raw_width, sizes.raw_height, max_megapixels)
            if missing != 0:
                # The container does not tell, or is wrong (cameras count loosely): reading it all decides.
                raw.unpack()
            orientation = _ORIENTATION_OF_FLIP.get(sizes.flip, 1) if exif_rotation else 1
            full_size = upright_size(sizes.width, sizes.height, orientation)
            short_side = min(full_size)
            asked = min(min(protocol.target_size(*full_size)), short_side // 2)
            needed = min(short_side, max(SMALLEST_SHORT_SIDE, asked))
            preview = _preview(raw, max_megapixels, enough)
            preview_exif = None if preview is None else exif_of(preview.image)
            jpeg = None
            if preview is not None and min(preview.width, preview.height) >= needed:
                jpeg = preview.jpeg
                if exif_rotation:
                    orientation = _orientation(preview, orientation_of(preview_exif), orientation, full_size)
                image = upright(to_rgb(preview.image), orientation)
            else:
                image = _developed(raw, needed, orientation)
            moment = taken_at(container_exif) or taken_at(preview_exif) or _timestamp(raw)
    return UprightPicture(image, *full_size, moment, jpeg, orientation)


def _preview(raw: Any, max_megapixels: float, enough: Enough | None) -> Still | None:
    """Return the largest preview; None when it is missing, damaged or of an unknown kind."""
    try:
        thumbnail = raw.extract_thumb()
        if thumbnail.format == rawpy.ThumbFormat.BITMAP:
            image = Image.fromarray(thumbnail.data)
            return Still(image, image.width, image.height, None)
        if thumbnail.format == rawpy.ThumbFormat.JPEG:
            return decode_still(io.BytesIO(thumbnail.data), Family.STILL, max_megapixels, enough)
    except (rawpy.LibRawError, rawpy.NotSupportedError, Poison):
        pass
    return None


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


def _developed(raw: Any, needed: int, orientation: int) -> Image.Image:
    """Develop the sensor data; at half size, which needs no demosaicing, where that is twice the need."""
    half_is_enough = min(raw.sizes.width, raw.sizes.height) // 2 >= 2 * needed
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
