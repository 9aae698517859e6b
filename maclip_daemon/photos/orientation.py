"""Photos turned upright, as their EXIF orientation says (Exif 2.32, tag 0x0112)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from PIL import ExifTags, Image

from maclip_daemon.photos.capture_time import EXIF_ERRORS

_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class UprightPicture:
    """The picture of a photo, upright, and what is known about the photo."""

    image: Image.Image
    """RGB; at its own size, or smaller where less is enough."""
    width: int
    """Pixels of the photo itself, upright; for a RAW those of the RAW, not of its preview."""
    height: int
    taken_at: datetime | None
    jpeg: bytes | None
    """The JPEG that the picture was decoded from, or None."""
    orientation: int | None
    """By which EXIF orientation the picture was turned."""


def orientation_of(exif: Image.Exif | None) -> int | None:
    """The orientation, 1 to 8; None when there is none or it has another value."""
    try:
        value = None if exif is None else exif.get(ExifTags.Base.Orientation)
    except EXIF_ERRORS:
        return None
    return value if isinstance(value, int) and 1 <= value <= 8 else None


def upright(image: Image.Image, orientation: int | None) -> Image.Image:
    """The image turned upright; the same object where nothing has to turn."""
    transposition = _TRANSPOSITIONS.get(orientation or 1)
    return image if transposition is None else image.transpose(transposition)


def upright_size(width: int, height: int, orientation: int | None) -> tuple[int, int]:
    """(width, height) after `upright`."""
    return (height, width) if (orientation or 1) >= 5 else (width, height)
