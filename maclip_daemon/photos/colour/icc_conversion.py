"""ICC profiles: the conversion of a profile's colours to sRGB by LittleCMS, where it changes anything."""

from __future__ import annotations

import functools
import io
from typing import NamedTuple

import numpy as np
from blake3 import blake3
from PIL import Image, ImageCms

from maclip_daemon.photos.containers.icc_tags import colour_space

_MODE_OF_SPACE = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
# Levels of 255. Variants of sRGB (rounded curves, scaled blacks) differ by less, and stay as they are.
_SAME = 2
_PROFILES_KEPT = 16
_LARGEST_PROFILE = 4 << 20  # bytes; CMYK profiles are the largest


class IccConversion(NamedTuple):
    """A conversion to sRGB."""

    mode: str
    """Pillow's mode of the images that it takes: `RGB`, `L` or `CMYK`."""
    key: str
    """The same for equal profiles only."""
    transform: ImageCms.ImageCmsTransform
    needs_full_size: bool = False

    def apply(self, image: Image.Image) -> Image.Image:
        """Return the image in sRGB. An RGB image is changed in place."""
        if self.mode == "RGB":
            return self.transform.apply_in_place(image)
        return self.transform.apply(image)


@functools.lru_cache(_PROFILES_KEPT)
def icc_conversion(profile: bytes) -> IccConversion | None:
    """Return the conversion; None for sRGB, and for a profile that is damaged or of other colours.

    Relative colorimetric with black-point compensation, as photo managers do by default.
    """
    mode = _MODE_OF_SPACE.get(colour_space(profile))
    if mode is None or len(profile) > _LARGEST_PROFILE:
        return None
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    conversion = IccConversion(mode, f"icc {blake3(profile).hexdigest()}", transform)
    return conversion if mode == "CMYK" or _changes_anything(conversion) else None


def _changes_anything(conversion: IccConversion) -> bool:
    """Return whether a profile moves any of some thousand colours by more than `_SAME`."""
    probe = _probe(conversion.mode)
    shown = np.asarray(conversion.transform.apply(probe), np.int16)
    return bool(np.abs(shown - np.asarray(probe.convert("RGB"), np.int16)).max() > _SAME)


@functools.lru_cache(2)
def _probe(mode: str) -> Image.Image:
    """Return an image with all greys, and a cube of colours for RGB."""
    greys = np.arange(256, dtype=np.uint8)
    if mode == "L":
        return Image.fromarray(greys[None])
    steps = np.linspace(0, 255, 17).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    return Image.fromarray(np.concatenate([cube, np.repeat(greys[:, None], 3, axis=1)])[None])
