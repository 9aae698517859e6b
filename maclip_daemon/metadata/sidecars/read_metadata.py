"""The metadata that photo managers see: the sidecar's where there is one, else the photo's own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from maclip_daemon.errors import Poison, WriteRefused
from maclip_daemon.files import safe_writer, symlinks
from maclip_daemon.metadata.content import exiv2_tags, xmp_text
from maclip_daemon.metadata.records import FoundRating
from maclip_daemon.metadata.sidecars import first_star, ownership, targets, write_proof


@dataclass(frozen=True)
class PhotoMetadata:
    """A photo's metadata, by exiv2 key, with its source."""

    source: Path
    values: exiv2_tags.Values
    data: bytes | None = None
    """The bytes of the sidecar; None where the photo itself is the source."""
    leaves: xmp_text.Leaves | None = None
    """The sidecar read without exiv2."""
    status: os.stat_result | None = None
    notes: tuple[str, ...] = ()


def read_sidecar(sidecar: Path) -> PhotoMetadata:
    """Check that a sidecar is safe to parse, and read it. Raises `WriteRefused` (why not), `OSError`."""
    data, status = safe_writer.read_regular(sidecar, xmp_text.SIZE_LIMIT)
    try:
        leaves = xmp_text.read(data)
        with exiv2_tags.open_bytes(data) as image:
            return PhotoMetadata(sidecar, exiv2_tags.read_xmp(image), data, leaves, status)
    except WriteRefused as refusal:
        raise WriteRefused(
            f"{sidecar} is left alone: {refusal}. Repair it or move it away to have the photo rated."
        ) from None


def read_photo(photo: Path) -> PhotoMetadata:
    """Read a photo's embedded metadata; what exiv2 cannot read counts as empty, with a note.

    Raises `OSError` when the file itself cannot be read: a bare sidecar would hide what it holds.
    """
    with photo.open("rb") as file:
        file.read(1)
    try:
        with exiv2_tags.open_photo(photo) as image:
            return PhotoMetadata(photo, exiv2_tags.read_exif(image) | exiv2_tags.read_xmp(image))
    except xmp_text.ForeignPrefix as refusal:
        raise WriteRefused(
            f"{photo} is left alone: in its embedded XMP, {refusal}. Repair its metadata."
        ) from None
    except WriteRefused as refusal:
        return PhotoMetadata(photo, {}, notes=(f"the metadata of {photo} is not carried over: {refusal}",))


def rating_of(metadata: PhotoMetadata, last_written: int | None) -> FoundRating:
    """Return the rating and its owner."""
    owner, rating, stars = ownership.owner_of(metadata.values, last_written)
    digest = None if metadata.data is None else safe_writer.digest(metadata.data)
    # An export of darktable has its mark too, in the photo itself.
    by_darktable = metadata.data is not None and first_star.DARKTABLE_KEY in metadata.values
    is_first_star = by_darktable and owner == "person" and first_star.may_be(metadata.values, rating, stars)
    proof = write_proof.find(metadata.values, metadata.leaves) if owner == "maclip" else None
    return FoundRating(
        owner,
        rating,
        stars,
        metadata.source,
        digest,
        proof,
        by_darktable=by_darktable,
        is_first_star=is_first_star,
    )


def embedded_rating(photo: Path) -> FoundRating | None:
    """Return a person's rating in the photo itself, beside a sidecar; None without one.

    digiKam and Lightroom can write stars into a JPEG and leave its sidecar as it is. A rating that equals our
    own stars beside it is an embedding of ours from before the sidecar came.
    """
    present = read_photo(photo)
    found = rating_of(present, None)
    if found.owner != "person" or found.rating == found.stars:
        return None
    return found


def inspect(photo: Path, last_written: int | None) -> FoundRating:
    """Return the rating of a photo. Raises `FileChanged` when it is gone, `Poison` for a bad sidecar."""
    try:
        with safe_writer.translate_errors(photo):
            symlinks.require_regular_photo(photo)
            sidecar = targets.find_sidecar(photo)
            if sidecar is None:
                return rating_of(read_photo(photo), last_written)
            found = rating_of(read_sidecar(sidecar), last_written)
            if found.owner == "person" and not found.is_first_star:
                return found
            return embedded_rating(photo) or found
    except WriteRefused as refusal:
        raise Poison(str(refusal)) from None
