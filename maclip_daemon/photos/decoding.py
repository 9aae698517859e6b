"""One photo file becomes the pixels that are scored. Runs in the decoder process."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from PIL import Image

from maclip_daemon.errors import Poison
from maclip_daemon.iqa.protocols import Protocol
from maclip_daemon.photos.camera_raw import decode_raw
from maclip_daemon.photos.decode_errors import poison_on_error
from maclip_daemon.photos.exif import exif_of, orientation_of, taken_at
from maclip_daemon.photos.formats import Family, family_of
from maclip_daemon.photos.picture_identity import jpeg_hash, pixel_hash
from maclip_daemon.photos.stills import Enough, decode_still
from maclip_daemon.photos.upright_picture import UprightPicture, to_rgb, upright, upright_size


@dataclass(frozen=True)
class Decoded:
    """A decoded photo."""

    image: Image.Image
    """RGB, at the protocol's size."""
    photo_width: int
    """Pixels of the photo itself, upright."""
    photo_height: int
    pixel_hash: str
    """Of the coded picture of a JPEG or of a RAW's JPEG preview, else of the upright RGB pixels before the
    protocol's resize (`picture_identity`).
    """
    former_hash: str | None
    """The `pixel_hash` of earlier versions; None when it is the same or was not asked for."""
    taken_at: datetime | None


def decode(
    file: BinaryIO,
    name: str,
    protocol: Protocol,
    *,
    max_megapixels: float,
    exif_rotation: bool = True,
    two_steps: bool = True,
    former_hash: bool = False,
) -> Decoded:
    """Return the first picture in `file`, upright and at the protocol's size.

    `name`: its name or path; the suffix chooses the family of readers, the content the reader.
    `exif_rotation`: off leaves pixels as stored, as the authors' code does. HEIC and TIFF are turned all the
    same, by their readers. `two_steps`: reduce large photos in two steps, JPEG already while it is decoded;
    off: in one, as the authors' code does. `former_hash`: also compute a JPEG's hash of earlier versions.
    Raises `Poison` with the reason when this is no whole photo, `Transient` when it cannot be read.
    """
    enough = protocol.smallest_decoded_size if two_steps else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata
        family = family_of(name)
        if family is None:
            raise Poison("its suffix is not that of a photo.")
        if family is Family.RAW:
            picture = decode_raw(
                file, protocol, max_megapixels=max_megapixels, exif_rotation=exif_rotation, enough=enough
            )
        else:
            picture = _upright_still(file, family, max_megapixels, exif_rotation, enough)
        in_blocks = two_steps and picture.jpeg is None  # a JPEG's first step was its decoding
        if picture.jpeg is None:
            identity, former = pixel_hash(picture.image), None
        else:
            identity = jpeg_hash(picture.jpeg, picture.orientation)
            former = _former_hash(picture.jpeg, picture.orientation) if former_hash else None
        return Decoded(
            image=protocol.resize(picture.image, two_steps=in_blocks),
            photo_width=picture.width,
            photo_height=picture.height,
            pixel_hash=identity,
            former_hash=former,
            taken_at=picture.taken_at,
        )


def _upright_still(
    file: BinaryIO, family: Family, max_megapixels: float, exif_rotation: bool, enough: Enough | None
) -> UprightPicture:
    stored = decode_still(file, family, max_megapixels, enough)
    exif = exif_of(stored.image)
    orientation = orientation_of(exif) if exif_rotation else None
    with poison_on_error("picture"):
        image = upright(to_rgb(stored.image), orientation)
    width, height = upright_size(stored.width, stored.height, orientation)
    return UprightPicture(image, width, height, taken_at(exif), stored.jpeg, orientation)


def _former_hash(jpeg: bytes, orientation: int | None) -> str:
    with poison_on_error("picture"), Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
        return pixel_hash(upright(to_rgb(image), orientation))
