"""One photo file becomes the pixels that are judged. Runs in the decoder's process."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from PIL import Image

from maclip_daemon.errors import Poison
from maclip_daemon.iqa.protocols import Protocol
from maclip_daemon.photos.capture_time import taken_at
from maclip_daemon.photos.colour import to_rgb
from maclip_daemon.photos.damage import told_as_poison
from maclip_daemon.photos.formats import Family, family_of
from maclip_daemon.photos.orientation import orientation_of, upright
from maclip_daemon.photos.pixel_hash import pixel_hash
from maclip_daemon.photos.raw_previews import decode_raw
from maclip_daemon.photos.stills import decode_still, exif_of


@dataclass(frozen=True)
class Decoded:
    """A decoded photo."""

    image: Image.Image
    """RGB, at the protocol's size."""
    photo_width: int
    """Pixels of the photo itself, upright."""
    photo_height: int
    pixel_hash: str
    """Of the upright RGB pixels before the protocol's resize; of the preview for most RAWs."""
    taken_at: datetime | None


def decode(
    file: BinaryIO,
    name: str,
    protocol: Protocol,
    *,
    max_megapixels: float,
    exif_rotation: bool = True,
) -> Decoded:
    """Decode the first picture in `file`, turn it upright, and bring it to the protocol's size.

    `name`: its name or path; the suffix chooses the family of readers, the content the reader.
    `exif_rotation`: off leaves stored pixels as they are, as the published evaluation code does (HEIC
    and TIFF are turned all the same: their readers do it).
    Raises `Poison` with the reason when this is no whole photo, `Transient` when it cannot be read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata
        family = family_of(name)
        if family is None:
            raise Poison("its suffix is not one of a photo.")
        if family is Family.RAW:
            raw = decode_raw(file, protocol, max_megapixels=max_megapixels, exif_rotation=exif_rotation)
            return Decoded(
                protocol.resize(raw.image), raw.width, raw.height, pixel_hash(raw.image), raw.taken_at
            )
        stored = decode_still(file, family, max_megapixels)
        exif = exif_of(stored)
        with told_as_poison("picture"):
            image = to_rgb(stored)
        if exif_rotation:
            image = upright(image, orientation_of(exif))
        return Decoded(protocol.resize(image), image.width, image.height, pixel_hash(image), taken_at(exif))
