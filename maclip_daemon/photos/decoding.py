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
from maclip_daemon.iqa.tile_cutting import cut_tiles
from maclip_daemon.photos.camera_raw import NotRaw, ReadingOptions, decode_raw
from maclip_daemon.photos.containers.tiff_directories import holds_sensor_data, read_directories
from maclip_daemon.photos.content_kind import HEAD_BYTES, ContentKind, content_kind
from maclip_daemon.photos.decode_errors import poison_on_error
from maclip_daemon.photos.exif import orientation_of, taken_at
from maclip_daemon.photos.formats import Family, family_of
from maclip_daemon.photos.measures.measurement import measure
from maclip_daemon.photos.measures.photo_measures import PhotoMeasures
from maclip_daemon.photos.picture_identity import jpeg_hash, pixel_hash, with_colours
from maclip_daemon.photos.shots.picture_descriptor import describe
from maclip_daemon.photos.shots.shot_exif import shot_info_from
from maclip_daemon.photos.shots.shot_info import ShotInfo
from maclip_daemon.photos.stills import decode_still
from maclip_daemon.photos.upright_picture import (
    UprightPicture,
    as_seen,
    in_srgb,
    to_rgb,
    upright,
    upright_size,
)


@dataclass(frozen=True)
class Decoded:
    """A decoded photo."""

    image: Image.Image
    """RGB, at the protocol's size."""
    tiles: Image.Image | None
    """RGB, the tiles below each other (`iqa.tile_cutting`); None where the photo has none."""
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
    shot: ShotInfo
    """What the camera noted."""
    descriptor: bytes
    """How the picture looks, for comparing it with its neighbours (`shots/descriptor_layout`)."""
    measures: PhotoMeasures | None
    """What the pixels tell at the size at which they were decoded; None for a picture too small for it."""


def decode(
    file: BinaryIO,
    name: str,
    protocol: Protocol,
    *,
    max_megapixels: float,
    exif_rotation: bool = True,
    two_steps: bool = True,
    colour_conversion: bool = True,
    former_hash: bool = False,
) -> Decoded:
    """Return the photo in `file`, upright, in sRGB and at the protocol's size.

    `name`: its name or path; the content decides how it is read, whatever the suffix says.
    `exif_rotation`: off leaves pixels as stored, as the authors' code does. HEIC and TIFF are turned all the
    same, by their readers. `two_steps`: reduce large photos in two steps, JPEG already while it is decoded;
    off: in one, as the authors' code does. A protocol with tiles always reduces in two steps.
    `colour_conversion`: off drops colour profiles, HDR and transparency, as the authors' code does.
    `former_hash`: also compute a JPEG's hash of earlier versions.
    Raises `Poison` with the reason when this is no whole photo, `Transient` when it cannot be read.
    """
    two_steps = two_steps or protocol.tiles > 0
    enough = protocol.smallest_decoded_size if two_steps else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata
        how = ReadingOptions(max_megapixels, exif_rotation, colour_conversion, enough)
        picture = _read(file, name, protocol, how)
        identity, former = _identities(picture.preview or picture, with_former=former_hash)
        with poison_on_error("picture"):
            image, tiles, measures = _reduced(picture, protocol, two_steps=two_steps)
        return Decoded(
            image=image,
            tiles=tiles,
            photo_width=picture.width,
            photo_height=picture.height,
            pixel_hash=identity,
            former_hash=former,
            taken_at=picture.taken_at,
            shot=picture.shot,
            descriptor=describe(image),
            measures=measures,
        )


def decode_picture(
    file: BinaryIO, name: str, protocol: Protocol, *, max_megapixels: float
) -> tuple[Image.Image, tuple[int, int]]:
    """Return the same picture as `decode`, with the photo's width and height, and nothing else of the photo.

    For whoever shows it: measuring a photo and knowing it again cost more than reading it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        how = ReadingOptions(max_megapixels, True, True, protocol.target_size)
        picture = _read(file, name, protocol, how)
        with poison_on_error("picture"):
            image, _, _ = _reduced(picture, protocol, two_steps=True, measures=False)
        return image, (picture.width, picture.height)


def _reduced(
    picture: UprightPicture, protocol: Protocol, *, two_steps: bool, measures: bool = True
) -> tuple[Image.Image, Image.Image | None, PhotoMeasures | None]:
    """Return the picture at the protocol's size and its tiles, in sRGB, and what its pixels tell."""
    # The first step of a JPEG was its decoding, unless the tiles needed more of it.
    in_blocks = two_steps and (picture.jpeg is None or protocol.tiles > 0)
    image, colours = picture.image, picture.colours
    if colours is not None and (colours.needs_full_size or not in_blocks):
        image, colours = in_srgb(image, colours), None
    measured = measure(image, picture.scale, is_developed=picture.is_developed) if measures else None
    grid = protocol.tile_grid(picture.width, picture.height)
    tiles = None if grid is None else cut_tiles(image, grid)
    if colours is not None:  # only now, when few pixels are left to convert
        image = in_srgb(protocol.in_blocks(image), colours)
        tiles = None if tiles is None else in_srgb(tiles, colours)
    return protocol.resize(image, two_steps=in_blocks), tiles, measured


def _read(file: BinaryIO, name: str, protocol: Protocol, how: ReadingOptions) -> UprightPicture:
    family = family_of(name)
    if family is None:
        raise Poison("its suffix is not that of a photo.")
    if _is_raw(file, family):
        try:
            return decode_raw(file, protocol, how)
        except NotRaw as error:
            if content_kind(_head(file)) is not ContentKind.TIFF:
                raise Poison(str(error)) from None
    return _upright_still(file, how, bitmaps=family is Family.BITMAP)


def _is_raw(file: BinaryIO, family: Family) -> bool:
    """Return whether a file is a camera RAW by its content; the name decides where that does not tell."""
    kind = content_kind(_head(file))
    if kind in (None, ContentKind.TIFF) and family is Family.RAW:
        return True
    if kind is not ContentKind.TIFF:
        return kind is ContentKind.RAW
    with poison_on_error("TIFF data"):
        return holds_sensor_data(read_directories(file))


def _head(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(HEAD_BYTES)


def _upright_still(file: BinaryIO, how: ReadingOptions, *, bitmaps: bool) -> UprightPicture:
    stored = decode_still(file, how.max_megapixels, how.enough, bitmaps=bitmaps)
    orientation = orientation_of(stored.exif) if how.exif_rotation else None
    with poison_on_error("picture"):
        colours = stored.colours if how.colour_conversion else None
        flat = as_seen(stored.image, colours) if how.colour_conversion else to_rgb(stored.image)
        image = upright(flat, orientation)
    width, height = upright_size(stored.width, stored.height, orientation)
    taken, shot = taken_at(stored.exif), shot_info_from(stored.exif)
    return UprightPicture(image, width, height, taken, stored.jpeg, orientation, colours, shot)


def _identities(picture: UprightPicture, *, with_former: bool) -> tuple[str, str | None]:
    """Return the picture's identity, and that of earlier versions where it is asked for.

    A conversion of colours is part of it: the same codes look otherwise with another profile.
    """
    key = "" if picture.colours is None else picture.colours.key
    if picture.jpeg is None:
        return with_colours(pixel_hash(picture.image), key), None
    identity = with_colours(jpeg_hash(picture.jpeg, picture.orientation), key)
    # Scores of earlier versions were those of unconverted colours.
    return identity, _former_hash(picture.jpeg, picture.orientation) if with_former and not key else None


def _former_hash(jpeg: bytes, orientation: int | None) -> str:
    with poison_on_error("picture"), Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
        return pixel_hash(upright(to_rgb(image), orientation))
