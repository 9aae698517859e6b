"""TIFF files: the photo among their pictures, by Pillow where it reads the samples right."""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

from PIL import ExifTags, Image, UnidentifiedImageError

from maclip_daemon.errors import Poison
from maclip_daemon.photos.containers import tiff_samples
from maclip_daemon.photos.containers.tiff_directories import (
    TiffDirectory,
    offsets_in,
    photo_in,
    read_directories,
)
from maclip_daemon.photos.decode_errors import ADVICE, check_pixels, unsupported
from maclip_daemon.photos.exif import EXIF_ERRORS, exif_of, forget_xmp, orientation_of
from maclip_daemon.photos.upright_picture import upright

# LERC, JPEG 2000, WebP, JPEG XR, JPEG XL: libtiff knows their numbers, but not how to decode them.
_COMPRESSIONS_WITHOUT_DECODER = frozenset({34887, 34712, 50001, 22610, 34934, 50002, 52546})
_SAMPLE_FORMATS = {1: "", 2: "signed ", 3: "floating-point ", 5: "complex "}


def read_tiff(file: BinaryIO, max_megapixels: float) -> tuple[Image.Image, Image.Exif | None]:
    """Return the photo in a TIFF, turned upright by its tag, and its EXIF without the orientation.

    Raises `Poison` for a kind that is not supported, or too many pixels, and what Pillow raises over damage.
    """
    directories = read_directories(file)
    if not directories:
        raise Poison(f"the TIFF data is damaged (it holds no picture). {ADVICE}")
    photo = photo_in(directories)
    check_pixels(*photo.size, max_megapixels)
    file.seek(0)
    if tiff_samples.is_misread(photo):
        image = tiff_samples.read_samples(file, photo)
        exif = _exif_at(file, photo)
        image_upright = upright(image, orientation_of(exif))
        image_upright.info = image.info
    else:
        image_upright = _read_by_pillow(file, photo)
        exif = exif_of(image_upright)
    if exif is not None:
        exif.pop(ExifTags.Base.Orientation, None)
    return image_upright, exif


def _read_by_pillow(file: BinaryIO, photo: TiffDirectory) -> Image.Image:
    if photo.tags.get(259, 1) in _COMPRESSIONS_WITHOUT_DECODER:
        raise unsupported(_described(photo))
    if photo.page is None:
        file = _starting_at(file, photo)
    try:
        image = Image.open(file, formats=["TIFF"])
    except UnidentifiedImageError:
        raise unsupported(_described(photo)) from None
    try:
        image.seek(photo.page or 0)
    except SyntaxError:
        raise unsupported(_described(photo)) from None
    forget_xmp(image)  # its orientation would turn the picture as it is loaded
    image.load()
    return image


def _starting_at(file: BinaryIO, photo: TiffDirectory) -> BinaryIO:
    """Return a copy of the file whose first directory is that of the photo."""
    file.seek(0)
    data = bytearray(file.read())
    order = "<" if data[:2] == b"II" else ">"
    is_big = 43 in struct.unpack_from(f"{order}H", data, 2)
    struct.pack_into(f"{order}{'Q' if is_big else 'I'}", data, 8 if is_big else 4, photo.offset)
    return io.BytesIO(data)


def _exif_at(file: BinaryIO, photo: TiffDirectory) -> Image.Exif | None:
    exif = Image.Exif()
    exif.endian = "<" if photo.tags.prefix == b"II" else ">"
    try:
        exif.load_from_fp(file, photo.offset)
    except EXIF_ERRORS:
        return None
    return exif


def _described(photo: TiffDirectory) -> str:
    bits = "/".join(str(number) for number in sorted(set(offsets_in(photo.tags.get(258, 1)))))
    formats = offsets_in(photo.tags.get(339, 1))
    kind = _SAMPLE_FORMATS.get(formats[0] if formats else 1, "")
    return (
        f"a TIFF with {photo.tags.get(277, 1)} {kind}samples of {bits} bits "
        f"(compression {photo.tags.get(259, 1)}, photometric interpretation {photo.tags.get(262)})"
    )
