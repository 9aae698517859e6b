"""EXIF of a photo: when it was taken and how it must be turned (Exif 2.32)."""

from __future__ import annotations

import re
import struct
from datetime import datetime, timedelta, timezone

from PIL import ExifTags, Image

# What Pillow raises over damaged EXIF. Damaged metadata must never fail a photo whose pixels are whole.
EXIF_ERRORS = (
    *(OSError, SyntaxError, ValueError, LookupError, TypeError, AttributeError),
    *(ArithmeticError, EOFError, struct.error),
)
_DATE = re.compile(r"(\d{4})[:\-/](\d\d)[:\-/](\d\d)[ T](\d\d):(\d\d):(\d\d)")
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")


_XMP_KEYS = ("xmp", "XML:com.adobe.xmp")


def forget_xmp(image: Image.Image) -> None:
    """Drop the XMP of an opened image, so that Pillow does not turn it by an orientation that only XMP has.

    darktable does not either: such an orientation is often left over from before a program turned the pixels.
    """
    for key in _XMP_KEYS:
        image.info.pop(key, None)


def exif_of(image: Image.Image) -> Image.Exif | None:
    """Return the EXIF of an opened image; None when it has none or it is too damaged to read.

    The orientation is EXIF's only; see `forget_xmp`.
    """
    xmp = {key: image.info[key] for key in _XMP_KEYS if key in image.info}
    forget_xmp(image)
    try:
        exif = image.getexif()
        exif.get(ExifTags.Base.Orientation)
    except EXIF_ERRORS:
        return None
    finally:
        image.info.update(xmp)
    return exif


def orientation_of(exif: Image.Exif | None) -> int | None:
    """Return the orientation (tag 0x0112), 1 to 8; None when it is missing or has another value."""
    try:
        value = None if exif is None else exif.get(ExifTags.Base.Orientation)
    except EXIF_ERRORS:
        return None
    return value if isinstance(value, int) and 1 <= value <= 8 else None


def taken_at(exif: Image.Exif | None) -> datetime | None:
    """Return DateTimeOriginal with its fraction of a second and its offset from UTC (section 4.6.5).

    Without OffsetTimeOriginal the time is the camera's own and has no time zone. None when the date is
    missing, blank, all zeros, or no date.
    """
    if exif is None:
        return None
    try:
        directory = exif.get_ifd(ExifTags.IFD.Exif)
    except EXIF_ERRORS:
        return None
    found = _DATE.match(text_of(directory.get(ExifTags.Base.DateTimeOriginal)))
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups())
    try:
        # Some cameras write second 60; the minute they mean is clear enough.
        moment = datetime(year, month, day, hour, minute, min(second, 59))
    except ValueError:
        return None
    fraction = text_of(directory.get(ExifTags.Base.SubsecTimeOriginal)).strip()
    if fraction.isascii() and fraction.isdigit():
        moment = moment.replace(microsecond=int(fraction[:6].ljust(6, "0")))
    offset = _OFFSET.fullmatch(text_of(directory.get(ExifTags.Base.OffsetTimeOriginal)).strip())
    if offset is not None and int(offset[2]) <= 14 and int(offset[3]) < 60:
        distance = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        moment = moment.replace(tzinfo=timezone(-distance if offset[1] == "-" else distance))
    return moment


def text_of(value: object) -> str:
    """Return a tag's text without its final zeros; '' for what is no text."""
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return value.strip("\0") if isinstance(value, str) else ""
