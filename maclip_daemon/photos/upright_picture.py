"""Stored pixels become an upright picture in 8-bit RGB."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from maclip_daemon.photos.colour.conversion import ColourConversion
from maclip_daemon.photos.containers.tiff_samples import scaled_floats
from maclip_daemon.photos.shots.shot_info import NO_SHOT, ShotInfo

_EIGHT_BIT, _SIXTEEN_BIT = 255.0, 65535.0
_OPAQUE = 255
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
    """In the mode that `colours` takes, else RGB; at its own size, or smaller where less is enough."""
    width: int
    """Pixels of the photo itself, upright; for a RAW those of the RAW, not of its preview."""
    height: int
    taken_at: datetime | None
    jpeg: bytes | None
    """The JPEG that the picture was decoded from, or None."""
    orientation: int | None
    """The EXIF orientation by which the picture was turned."""
    colours: ColourConversion | None = None
    """How the image becomes sRGB; None when it is, or when colours stay as stored."""
    shot: ShotInfo = NO_SHOT
    """What the camera noted of the shot."""
    preview: UprightPicture | None = None
    """The preview by which a developed RAW is recognised, though it is too small for the protocol's tiles."""
    is_developed: bool = False
    """Whether it was developed from a RAW's sensor data, here and without noise reduction."""

    @property
    def scale(self) -> float:
        """Return the image's size as a share of the photo's own."""
        return self.image.width / self.width


def upright(image: Image.Image, orientation: int | None) -> Image.Image:
    """Return the image turned upright; the same object where nothing has to turn."""
    transposition = _TRANSPOSITIONS.get(orientation or 1)
    return image if transposition is None else image.transpose(transposition)


def upright_size(width: int, height: int, orientation: int | None) -> tuple[int, int]:
    """Return (width, height) after `upright`."""
    return (height, width) if (orientation or 1) >= 5 else (width, height)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return the image as mode RGB, as the authors' code does.

    `Image.convert("RGB")` decides wherever it does something sensible, because published scores were
    measured with it: transparency is dropped, palettes are looked up, CMYK is converted by formula, colour
    profiles are not applied. Deeper pixels, which it would clip to white, are scaled here: 16-bit grey keeps
    its high byte, as Pillow does for 16-bit colour. 32-bit integers are taken for 0 to 255, 0 to 65535, or 0
    to their maximum, whichever is the first to hold them; `scaled_floats` says what floats become. CIELAB
    goes through a colour profile.
    """
    if image.mode.startswith("I;16"):
        return _grey((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "I":
        return _grey(_scaled(np.asarray(image).astype(np.float32)))
    if image.mode == "F":
        return _grey(scaled_floats(np.asarray(image)))
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert converted is not None
        return converted
    return image if image.mode == "RGB" else image.convert("RGB")


def as_seen(image: Image.Image, colours: ColourConversion | None) -> Image.Image:
    """Return the image on white paper, in the mode that `colours` takes, else as RGB.

    Pixels under full transparency hold anything: an opaque picture is the same as by `to_rgb`.
    """
    opaque = _on_white(image)
    if colours is None or opaque.mode == colours.mode:
        return to_rgb(opaque) if colours is None else opaque
    if colours.mode == "L":
        return to_rgb(opaque).convert("L")
    return to_rgb(opaque)


def in_srgb(image: Image.Image, colours: ColourConversion | None) -> Image.Image:
    """Return an image of `as_seen` in sRGB; a conversion for other modes leaves it as it is."""
    if colours is None or image.mode != colours.mode:
        return image
    return to_rgb(colours.apply(image))


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F", "LAB") or image.mode.startswith("I;16") or not image.has_transparency_data:
        return image
    with_alpha = image.convert("LA" if image.mode in ("LA", "La") else "RGBA")
    alpha = with_alpha.getchannel("A")
    if alpha.getextrema()[0] == _OPAQUE:
        return image
    colours = with_alpha.convert(with_alpha.mode[:-1])
    paper = Image.new(colours.mode, colours.size, "white")
    paper.paste(colours, mask=alpha)
    return paper


def _scaled(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    peak = float(values.max(initial=0.0))
    full = next((limit for limit in (_EIGHT_BIT, _SIXTEEN_BIT) if peak <= limit), peak)
    scaled: NDArray[np.uint8] = np.clip(np.rint(values * (_EIGHT_BIT / full)), 0, 255).astype(np.uint8)
    return scaled


def _grey(values: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(values).convert("RGB")
