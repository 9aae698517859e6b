"""Stored pixels become an upright picture in 8-bit RGB."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_EIGHT_BIT, _SIXTEEN_BIT = 255.0, 65535.0
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
    """The upright picture of a photo, with the photo's own size and time."""

    image: Image.Image
    """RGB; at its own size, or smaller where less is enough."""
    width: int
    """Pixels of the photo itself, upright; for a RAW those of the RAW, not of its preview."""
    height: int
    taken_at: datetime | None
    jpeg: bytes | None
    """The JPEG that the picture was decoded from, or None."""
    orientation: int | None
    """The EXIF orientation by which the picture was turned."""


def upright(image: Image.Image, orientation: int | None) -> Image.Image:
    """Return the image turned upright; the same object where nothing has to turn."""
    transposition = _TRANSPOSITIONS.get(orientation or 1)
    return image if transposition is None else image.transpose(transposition)


def upright_size(width: int, height: int, orientation: int | None) -> tuple[int, int]:
    """Return (width, height) after `upright`."""
    return (height, width) if (orientation or 1) >= 5 else (width, height)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return the image as mode RGB.

    `Image.convert("RGB")` decides wherever it does something sensible, because published scores were
    measured with it: transparency is dropped, palettes are looked up, CMYK is converted by formula, colour
    profiles are not applied. Deeper pixels, which it would clip to white, are scaled here: 16-bit grey keeps
    its high byte, as Pillow does for 16-bit colour. 32-bit integers and floats are taken for 0 to 1 (floats
    only), 0 to 255, 0 to 65535, or 0 to their maximum, whichever is the first to hold them; not-a-number
    becomes black. CIELAB goes through a colour profile.
    """
    if image.mode.startswith("I;16"):
        return _grey((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "I":
        return _grey(_scaled(np.asarray(image).astype(np.float32), _EIGHT_BIT))
    if image.mode == "F":
        return _grey(_scaled(np.asarray(image), 1.0))
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert converted is not None
        return converted
    return image if image.mode == "RGB" else image.convert("RGB")


def _scaled(values: NDArray[np.float32], smallest_range: float) -> NDArray[np.uint8]:
    finite = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    peak = float(finite.max(initial=0.0))
    ranges = [limit for limit in (1.0, _EIGHT_BIT, _SIXTEEN_BIT) if limit >= smallest_range]
    full = next((limit for limit in ranges if peak <= limit), peak)
    scaled: NDArray[np.uint8] = np.clip(np.rint(finite * (_EIGHT_BIT / full)), 0, 255).astype(np.uint8)
    return scaled


def _grey(values: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(values).convert("RGB")
