"""JPEG, PNG, TIFF, WebP, HEIC and AVIF files, opened by their content, not by their suffix."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import pillow_heif
from PIL import Image, UnidentifiedImageError

from maclip_daemon.errors import Poison
from maclip_daemon.photos import jpeg_structure
from maclip_daemon.photos.decode_errors import ADVICE, check_pixels, poison_on_error
from maclip_daemon.photos.formats import Family

# Two threads: more win little, and each reserves address space, of which a decoder has a limited amount.
pillow_heif.options.DECODE_THREADS = 2
pillow_heif.register_heif_opener()
Image.MAX_IMAGE_PIXELS = None  # the limit is `check_pixels`, from the settings

FAMILIES = {
    **dict.fromkeys(("JPEG", "MPO", "PNG", "TIFF", "WEBP"), Family.STILL),
    **dict.fromkeys(("HEIF", "AVIF"), Family.HEIF),
    "BMP": Family.BITMAP,
}
"""The families of Pillow's formats."""
# Pillow's JPEG reader opens MPO (multi-picture). Photos are never opened as BMP.
_OPENERS = [name for name in FAMILIES if name not in ("MPO", "BMP")]
_SIGNATURES = ((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG", "PNG"), (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"))
_DNG_VERSION = 50706  # the TIFF tag that makes a DNG; its first picture may be a mere thumbnail

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
    jpeg: bytes | None
    """The JPEG that it was decoded from; None for other formats."""


def decode_still(
    file: BinaryIO, family: Family, max_megapixels: float, enough: Enough | None = None
) -> Still:
    """Return the first picture of a file; never one of its thumbnails.

    `enough`: a JPEG is decoded at the smallest of its 1/1, 1/2, 1/4 and 1/8 that is not below it. That leaves
    out the fine part of its cosine transform: all of the file is read, a third of the work is done. None:
    at its own size. Raises `Poison` for a file that is damaged, cut off, too large, no photo, or of another
    family than its suffix, and `Transient` when it cannot be read.
    """
    head = file.read(16)
    file.seek(0)
    if not head:
        raise Poison(f"it is empty. {ADVICE}")
    jpeg = None
    with poison_on_error(f"{_kind(head)} data"):
        if head.startswith(b"\xff\xd8\xff"):
            jpeg = file.read()
            check_jpeg(jpeg)
            file = io.BytesIO(jpeg)
        image = _open(file, head, family)
        _check_family(image, family)
        width, height = image.size
        check_pixels(width, height, max_megapixels)
        if image.format == "PNG":
            image.verify()  # the checksums, which decoding ignores; it uses the image up
            file.seek(0)
            image = _open(file, head, family)
        if jpeg is not None and enough is not None:
            image.draft(None, enough(width, height))
        image.load()
    return Still(image, width, height, jpeg)


def check_jpeg(data: bytes) -> None:
    """Raise `Poison` when the structure of a JPEG is damaged."""
    damage = jpeg_structure.damage(data)
    if damage is not None:
        raise Poison(f"the JPEG is damaged: {damage}. {ADVICE}")


def identify(head: BinaryIO) -> str | None:
    """Return Pillow's name of the still format that a file holds, or None."""
    try:
        return Image.open(head, formats=_OPENERS).format
    except (OSError, ValueError):
        return None


def _open(file: BinaryIO, head: bytes, family: Family) -> Image.Image:
    """Open with our formats only: every other reader of Pillow is one more door to attack."""
    try:
        return Image.open(file, formats=[*_OPENERS, "BMP"] if family is Family.BITMAP else _OPENERS)
    except UnidentifiedImageError:
        kind = _kind(head)
        if kind == "picture":
            raise Poison("it is not a photo: its content is none of the known formats.") from None
        raise Poison(f"it begins like a {kind} file but its header is damaged. {ADVICE}") from None


def _check_family(image: Image.Image, family: Family) -> None:
    held = str(image.format)
    tags = getattr(image, "tag_v2", {})
    if held == "TIFF" and _DNG_VERSION in tags:
        raise Poison("it holds a DNG RAW under another name. Rename it to .dng.")
    if FAMILIES[held] is not family:
        raise wrong_suffix(family, held)


_SPOKEN = {"MPO": "JPEG", "HEIF": "HEIC", "WEBP": "WebP"}
_SUFFIX_FOR = {
    **{"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "TIFF": ".tif", "WEBP": ".webp"},
    **{"HEIF": ".heic", "AVIF": ".avif", "BMP": ".bmp"},
}


def wrong_suffix(family: Family, held: str) -> Poison:
    """Return the error of a file with a suffix of `family` that holds another format, by Pillow's name."""
    return Poison(
        f"its name says {family.value} but it holds {_SPOKEN.get(held, held)}. "
        f"Rename it to {_SUFFIX_FOR[held]}."
    )


def _kind(head: bytes) -> str:
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        return "AVIF" if head[8:12] in (b"avif", b"avis") else "HEIC"
    return "picture"
