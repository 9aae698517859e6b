"""EXIF of which exiv2 cannot convert one text: the rest is read without it.

An emoji in a comment, or an artist in a local encoding, must not hide date, place and copyright.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import pyexiv2

from maclip_daemon.errors import WriteRefused
from maclip_daemon.metadata.content import exiv2_tags

# One grey pixel: the smallest JPEG that exiv2 opens, to hold the EXIF of any other format.
_SCRATCH = bytes.fromhex(
    "ffd8ffe000104a46494600010100000100010000ffdb004300" + "01" * 64 + "ffc0000b080001000101011100"
    "ffc40014000100000000000000000000000000000009ffc40014100100000000000000000000000000000000"
    "ffda0008010100003f00549fffd9"
)
# Texts with a code of their own for their encoding, which exiv2 converts and fails on.
_COMMENTS = ("Exif.Photo.UserComment", "Exif.GPSInfo.GPSProcessingMethod", "Exif.GPSInfo.GPSAreaInformation")
_USER_COMMENT, _UNDEFINED = 0x9286, 7
_CODE = 8  # bytes of the name of a comment's encoding


@dataclass(frozen=True)
class ExifApart:
    """A photo's EXIF, all of which exiv2 can convert."""

    image: pyexiv2.ImageData
    comment: str
    """The user comment that had to be taken out; '' where it is still in, or there is none."""


@contextmanager
def open_exif(photo: pyexiv2.Image) -> Iterator[ExifApart]:
    """Open a copy of a photo's EXIF with its texts in UTF-8, without those that cannot be converted.

    Raises `WriteRefused` when exiv2 reads none of it.
    """
    with exiv2_tags.open_bytes(_SCRATCH) as image:
        try:
            photo.copy_to_another_image(
                image, exif=True, iptc=False, xmp=False, comment=False, icc=False, thumbnail=False
            )
            comment = _without_comments(image)
            rows = image._exiv2api_image.read_exif()
            local = {row["tag"]: row["value"] for row in rows if not _is_utf8(row["value"])}
            image.modify_exif(
                {tag.decode("latin-1"): exiv2_tags.decoded(value) for tag, value in local.items()}
            )
        except (RuntimeError, UnicodeError):
            raise WriteRefused("exiv2 cannot read its EXIF") from None
        yield ExifApart(image, comment)


def _without_comments(image: pyexiv2.ImageData) -> str:
    try:
        image._exiv2api_image.read_exif()
    except RuntimeError:
        comment = _user_comment(bytes(image.get_bytes()))
        image.modify_exif(dict.fromkeys(_COMMENTS))
        return comment
    return ""


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _user_comment(jpeg: bytes) -> str:
    """Return EXIF's user comment (Exif 2.32, 4.6.5); its UTF-16 may be of either order, and cut off."""
    _, found, tiff = jpeg.partition(b"Exif\0\0")
    if not found:
        return ""
    order: Literal["little", "big"] = "little" if tiff.startswith(b"II") else "big"
    entry = _USER_COMMENT.to_bytes(2, order) + _UNDEFINED.to_bytes(2, order)
    place = tiff.find(entry)
    if place < 0:
        return ""
    count, offset = (int.from_bytes(tiff[place + at : place + at + 4], order) for at in (4, 8))
    text = tiff[offset : offset + count]
    code, body = text[:_CODE], text[_CODE:]
    if not code.startswith(b"UNICODE"):
        return exiv2_tags.decoded(body).strip("\0 ")
    even = body[: len(body) // 2 * 2]
    readings = [even.decode(encoding, "ignore").strip("\0 ") for encoding in ("utf-16-be", "utf-16-le")]
    return max(readings, key=lambda reading: sum(character < "\u0250" for character in reading))
