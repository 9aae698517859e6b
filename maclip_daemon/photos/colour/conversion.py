"""Which conversion shows a picture's colours in sRGB: by ICC profile, by coded primaries, or by EXIF."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from maclip_daemon.photos.colour import encodings, tone_mapping
from maclip_daemon.photos.colour.encodings import Encoding
from maclip_daemon.photos.colour.icc_conversion import icc_conversion
from maclip_daemon.photos.exif import EXIF_ERRORS

_COLOUR_SPACE, _UNCALIBRATED, _ADOBE_BY_CUSTOM = 0xA001, 0xFFFF, 2
_ADOBE_INTEROPERABILITY = "R03"  # DCF 2.0

DeepCodes = Callable[[], tuple[NDArray[Any], int]]
"""Reads the codes [height, width, 3] of a picture, and their bits."""


class ColourConversion(Protocol):
    """A conversion to sRGB that changes the picture."""

    @property
    def mode(self) -> str:
        """Return Pillow's mode of the images that it takes."""

    @property
    def key(self) -> str:
        """Return a text that differs between conversions: part of the identity of a picture."""

    @property
    def needs_full_size(self) -> bool:
        """Return whether the picture must not be reduced before."""

    def apply(self, image: Image.Image) -> Image.Image:
        """Return the image in sRGB; the given one may be changed."""


@dataclass(frozen=True)
class EncodingConversion:
    """The conversion of a known encoding; HDR is tone-mapped."""

    encoding: Encoding
    deep: DeepCodes | None = None
    """Reads more than 8 bits of the same picture, at its full size."""
    mode: str = "RGB"

    @property
    def key(self) -> str:
        """Return the encoding in words."""
        return f"encoding {self.encoding.curve} {self.encoding.primaries}"

    @property
    def needs_full_size(self) -> bool:
        """Return whether the codes are read apart from the image."""
        return self.deep is not None

    def apply(self, image: Image.Image) -> Image.Image:
        """Return the picture in sRGB."""
        codes, bits = (np.asarray(image), 8) if self.deep is None else self.deep()
        return tone_mapping.to_srgb(codes, bits, self.encoding)


def conversion_of(
    image: Image.Image,
    exif: Image.Exif | None,
    coded: Encoding | None = None,
    deep: DeepCodes | None = None,
) -> ColourConversion | None:
    """Return how the colours of an opened picture become sRGB; None when they are sRGB, or nothing is said.

    `coded`: the encoding that the container states (HEIC, AVIF, PNG). HDR is believed first, then the ICC
    profile, then `coded`, then PNG's chromaticities, then EXIF. `deep`: more bits of an HDR picture.
    """
    profile = image.info.get("icc_profile")
    of_profile = encodings.of_icc(profile) if isinstance(profile, bytes) else None
    for encoding in (coded, of_profile):
        if encoding is not None and encoding.is_hdr:
            return EncodingConversion(encoding, deep)
    if isinstance(profile, bytes) and profile:
        conversion = icc_conversion(profile)
        return conversion if conversion is not None and _suits(conversion.mode, image.mode) else None
    if image.mode == "CMYK":
        return None
    encoding = coded or _of_png(image) or _of_exif(exif)
    return None if encoding is None or encoding.is_srgb else EncodingConversion(encoding)


def _suits(profile_mode: str, image_mode: str) -> bool:
    """Return whether a profile can speak of such an image: RGB's also of grey, others of their own only."""
    if profile_mode == "RGB":
        return image_mode not in ("CMYK", "LAB")
    if profile_mode == "L":
        return image_mode in ("L", "LA", "La", "1", "I", "F") or image_mode.startswith("I;16")
    return image_mode == profile_mode


def _of_png(image: Image.Image) -> Encoding | None:
    """Return what the chunks cHRM and gAMA of a PNG say; the chunk sRGB goes before them."""
    chromaticity, gamma = image.info.get("chromaticity"), image.info.get("gamma")
    if image.format != "PNG" or "srgb" in image.info or not chromaticity or not gamma:
        return None
    white, *colours = zip(chromaticity[::2], chromaticity[1::2], strict=True)
    if any(not (0 < x < 1 and 0 < y < 1) for x, y in (white, *colours)) or not 0.2 < gamma < 1.2:
        return None
    return Encoding((*colours, white), 1 / gamma)


def _of_exif(exif: Image.Exif | None) -> Encoding | None:
    """Return Adobe RGB when the camera noted it; the colour space 1 is sRGB, which all others are."""
    if exif is None:
        return None
    try:
        space = exif.get_ifd(ExifTags.IFD.Exif).get(_COLOUR_SPACE)
        if space == _ADOBE_BY_CUSTOM:
            return encodings.ADOBE_RGB
        if space != _UNCALIBRATED:
            return None
        index = exif.get_ifd(ExifTags.IFD.Interop).get(1)
    except EXIF_ERRORS:
        return None
    text = index.decode("ascii", "replace") if isinstance(index, bytes) else str(index)
    return encodings.ADOBE_RGB if text.startswith(_ADOBE_INTEROPERABILITY) else None
