"""JPEG, PNG, TIFF, WebP, HEIC, AVIF and JPEG XL files, opened by their content, not by their suffix."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pillow_heif
import pillow_jxl  # noqa: F401 - registers JPEG XL
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError
from pillow_jxl import JpegXLImagePlugin

from maclip_daemon.errors import Poison
from maclip_daemon.photos import tiff_reader
from maclip_daemon.photos.colour import encodings
from maclip_daemon.photos.colour.conversion import ColourConversion, conversion_of
from maclip_daemon.photos.colour.encodings import Encoding
from maclip_daemon.photos.containers import isobmff_boxes, jxl_header, png_chunks
from maclip_daemon.photos.content_kind import HEAD_BYTES, ContentKind, content_kind, other_kind
from maclip_daemon.photos.decode_errors import ADVICE, check_pixels, poison_on_error, unsupported
from maclip_daemon.photos.exif import exif_of, forget_xmp
from maclip_daemon.photos.jpeg_completeness import whole_jpeg

# Two threads: more win little, and each reserves address space, of which a decoder has a limited amount.
pillow_heif.options.DECODE_THREADS = 2
JpegXLImagePlugin.DECODE_THREADS = 2
pillow_heif.register_heif_opener()
Image.MAX_IMAGE_PIXELS = None  # the limit is `check_pixels`, from the settings

Enough = Callable[[int, int], tuple[int, int]]
"""(width, height) of a picture → the smallest (width, height) that it may be decoded at."""


@dataclass(frozen=True)
class Still:
    """A decoded picture as stored, neither turned nor converted."""

    image: Image.Image
    """At its own size, or smaller when less was asked for."""
    width: int
    """Pixels of the picture itself."""
    height: int
    exif: Image.Exif | None
    """Its orientation is still to be applied; readers that turn the picture remove it."""
    jpeg: bytes | None = None
    """The JPEG that it was decoded from; None for other formats."""
    coded: Encoding | None = None
    """The colours that the container states, beside an ICC profile."""
    deep: Callable[[], tuple[NDArray[Any], int]] | None = None
    """Reads the picture with all its bits, where 8 are too few (HDR)."""

    @property
    def colours(self) -> ColourConversion | None:
        """Return how its colours become sRGB."""
        return conversion_of(self.image, self.exif, self.coded, self.deep)


def decode_still(
    file: BinaryIO, max_megapixels: float, enough: Enough | None = None, *, bitmaps: bool = False
) -> Still:
    """Return the photo in a file; never one of its thumbnails.

    `enough`: a JPEG is decoded at the smallest of its 1/1, 1/2, 1/4 and 1/8 that is not below it. That leaves
    out the fine part of its cosine transform: all of the file is read, a third of the work is done. None:
    at its own size. `bitmaps`: BMP is read, too. Raises `Poison` for a file that is damaged, cut off, too
    large, no photo, or of a kind that is not supported, and `Transient` when it cannot be read.
    """
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if not head:
        raise Poison(f"it is empty (0 bytes). {ADVICE}")
    kind = content_kind(head)
    if kind is None or (kind is ContentKind.BMP and not bitmaps):
        other = other_kind(head)
        if other is not None:
            raise unsupported(other)
        raise Poison("it is not a photo: its content is none of the known formats.")
    reader = _READERS.get(kind, _read_plain)
    with poison_on_error(f"{kind.value} data"):
        return reader(file, kind, max_megapixels, enough)


def _read_plain(file: BinaryIO, kind: ContentKind, max_megapixels: float, _enough: Enough | None) -> Still:
    image = _open(file, kind)
    width, height = image.size
    check_pixels(width, height, max_megapixels)
    image.load()
    return Still(image, width, height, exif_of(image))


def _read_jpeg(file: BinaryIO, kind: ContentKind, max_megapixels: float, enough: Enough | None) -> Still:
    jpeg = whole_jpeg(file.read(), max_megapixels)
    image = _open(io.BytesIO(jpeg), kind)
    width, height = image.size
    check_pixels(width, height, max_megapixels)
    if enough is not None:
        image.draft(None, enough(width, height))
    image.decodermaxblock = len(jpeg)  # all at once: pieces of 64 KiB are each copied three times
    image.load()
    return Still(image, width, height, exif_of(image), jpeg)


def _read_png(file: BinaryIO, kind: ContentKind, max_megapixels: float, enough: Enough | None) -> Still:
    chunks = png_chunks.picture_chunks(file.read())
    still = _read_plain(io.BytesIO(png_chunks.joined(chunks)), kind, max_megapixels, enough)
    coded = next((bytes(chunk.content) for chunk in chunks if chunk.kind == b"cICP"), b"")
    encoding = encodings.of_cicp(coded[0], coded[1]) if len(coded) == 4 else None
    return Still(still.image, still.width, still.height, still.exif, coded=encoding)


def _read_heif(file: BinaryIO, kind: ContentKind, max_megapixels: float, _enough: Enough | None) -> Still:
    data = file.read()
    numbers = isobmff_boxes.nclx(data)
    coded = None if numbers is None else encodings.of_cicp(*numbers)
    if kind is ContentKind.HEIF and coded is not None and coded.is_hdr:
        return _read_deep_heif(data, coded, max_megapixels)
    still = _read_plain(io.BytesIO(data), kind, max_megapixels, None)
    return Still(still.image, still.width, still.height, still.exif, coded=coded)


def _read_deep_heif(data: bytes, coded: Encoding, max_megapixels: float) -> Still:
    """Return an HDR picture; Pillow's images hold only the upper eight bits of its codes."""
    opened = _open(io.BytesIO(data), ContentKind.HEIF)
    check_pixels(*opened.size, max_megapixels)
    deep = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False, hdr_to_16bit=False)
    codes, bits = np.asarray(deep), int(deep.info.get("bit_depth", 8))
    if codes.ndim == 2:
        codes = np.repeat(codes[..., None], 3, axis=2)
    codes = codes[: opened.height, : opened.width, :3]
    image = Image.fromarray((codes >> (bits - 8)).astype(np.uint8))
    exif = exif_of(opened)
    return Still(image, image.width, image.height, exif, coded=coded, deep=lambda: (codes, bits))


def _read_jxl(file: BinaryIO, kind: ContentKind, max_megapixels: float, enough: Enough | None) -> Still:
    data = file.read()
    size = jxl_header.size(data)
    if size is None:
        raise Poison(f"the JPEG XL data is cut off. {ADVICE}")
    check_pixels(*size, max_megapixels)  # before it is opened, which decodes it
    still = _read_plain(io.BytesIO(data), kind, max_megapixels, enough)
    if still.exif is not None and not getattr(still.image, "jpeg", False):
        still.exif.pop(274, None)  # libjxl has turned it
    return still


def _read_tiff(file: BinaryIO, _kind: ContentKind, max_megapixels: float, _enough: Enough | None) -> Still:
    image, exif = tiff_reader.read_tiff(file, max_megapixels)
    return Still(image, image.width, image.height, exif)


_READERS = {
    ContentKind.JPEG: _read_jpeg,
    ContentKind.PNG: _read_png,
    ContentKind.TIFF: _read_tiff,
    ContentKind.HEIF: _read_heif,
    ContentKind.AVIF: _read_heif,
    ContentKind.JXL: _read_jxl,
}
_PILLOW_NAMES = {ContentKind.HEIF: "HEIF", ContentKind.WEBP: "WEBP", ContentKind.JXL: "JXL"}


def _open(file: BinaryIO, kind: ContentKind) -> ImageFile.ImageFile:
    """Open with the one reader: every other reader of Pillow is one more door to attack."""
    try:
        image = Image.open(file, formats=[_PILLOW_NAMES.get(kind, kind.value)])
    except UnidentifiedImageError:
        raise Poison(f"it begins like a {kind.value} file but its header is damaged. {ADVICE}") from None
    forget_xmp(image)
    return image
