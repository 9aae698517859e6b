"""The metadata that photo managers see: the sidecar's where there is one, else the photo's own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from maclip_daemon.errors import Transient, WriteRefused
from maclip_daemon.files import safe_writer
from maclip_daemon.metadata.content import (
    embedded_xmp,
    exif_apart,
    exiv2_tags,
    second_reader,
    xmp_encoding,
    xmp_repair,
    xmp_text,
)
from maclip_daemon.metadata.content.photo_file import PhotoFile
from maclip_daemon.metadata.records import FoundRating
from maclip_daemon.metadata.sidecars import first_star, ownership, write_proof


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
    document: bytes | None = None
    """XMP that exiv2 reads: the sidecar in UTF-8, or a photo's own where exiv2 does not read it there."""
    is_whole_document: bool = False
    """Whether `document` has what photo managers read from a photo's EXIF and IPTC too."""
    has_odd_exif: bool = False
    """Whether a text in the photo's EXIF cannot be converted."""


def read_sidecar(sidecar: Path) -> PhotoMetadata:
    """Check that a sidecar is safe to parse, and read it. Raises `WriteRefused` (why not), `OSError`."""
    data, status = safe_writer.read_regular(sidecar, xmp_text.SIZE_LIMIT)
    try:
        if not data.strip(b"\0 \r\n\t"):
            raise WriteRefused("it is empty")
        document = xmp_encoding.with_usual_namespaces(xmp_encoding.to_utf8(data))
        leaves = xmp_text.read(document)
        values = exiv2_tags.read_sidecar(document)
        if leaves and not values:
            raise WriteRefused("exiv2 cannot read it")
        return PhotoMetadata(sidecar, values, data, leaves, status, document)
    except WriteRefused as refusal:
        raise WriteRefused(
            f"{sidecar} is left alone: {refusal}. Repair it or move it away to have the photo rated."
        ) from None


def read_photo(file: PhotoFile) -> PhotoMetadata:
    """Read a photo's embedded metadata, with exiftool where exiv2 cannot read it all.

    Raises `WriteRefused` when a rating may be there that neither reads, `SecondReadingNeeded`, `OSError`: a
    sidecar would hide what the photo holds.
    """
    exif: exiv2_tags.Values = {}
    is_odd = False
    photo = file.path
    os.pread(file.descriptor, 1, 0)
    try:
        image = exiv2_tags.open_photo(file)
        exif, is_odd = _exif_of(image)
        xmp = exiv2_tags.read_xmp(image)
        if not (doubt := embedded_xmp.doubt(file, image, exif | xmp)):
            return PhotoMetadata(photo, exif | xmp, has_odd_exif=is_odd)
        packet, is_read = b"" if xmp else image.checked.packet, True
    except xmp_text.ForeignPrefix as refusal:
        raise WriteRefused(
            f"{photo} is left alone: in its embedded XMP, {refusal}. Repair its metadata."
        ) from None
    except WriteRefused as refusal:
        doubt, packet, is_read = str(refusal), b"", False
    if packet and not embedded_xmp.has_further_packets(file):
        document = xmp_repair.mended(packet)
        if document is not None and (values := _values_of(document)):
            return PhotoMetadata(photo, exif | values, document=document, has_odd_exif=is_odd)
    return _read_again(file, exif, doubt, is_read)


def _exif_of(image: exiv2_tags.OpenedPhoto) -> tuple[exiv2_tags.Values, bool]:
    """Return a photo's EXIF, and whether it lacks a text that cannot be converted."""
    try:
        return exiv2_tags.read_exif(image), False
    except WriteRefused:
        with exif_apart.open_exif(image) as apart:
            return exiv2_tags.read_exif(apart.image), True


def _read_again(file: PhotoFile, exif: exiv2_tags.Values, doubt: str, is_read: bool) -> PhotoMetadata:
    """Read with exiftool; `is_read`: whether exiv2 has read the EXIF and IPTC of the photo."""
    photo = file.path
    reading = second_reader.reading_of(file)
    is_unread = reading is None or bool(reading.warning)
    if is_unread and not is_read and not embedded_xmp.holds_any(file):
        return PhotoMetadata(photo, {}, document=b"", is_whole_document=True)
    if reading is None:
        raise WriteRefused(
            f"{photo} is not rated: {doubt}. A rating of yours may be in it, and a sidecar would hide that. "
            "Install exiftool, which maclip uses to read it, then run `maclip rate`."
        )
    document = reading.xmp if is_read else reading.everything
    values = _values_of(document)
    if reading.ratings:
        exif = exif | {"Exif.Image.Rating": str(reading.ratings[0])}
    is_unrated = ownership.owner_of(exif | values, None)[0] == "none"
    if is_unrated and not reading.is_answer:
        raise Transient(
            f"{photo} waits: {doubt}, and exiftool cannot be started to read it: {reading.warning}. Free "
            "some space on the disk of temporary files."
        )
    if is_unrated and reading.warning:
        raise WriteRefused(
            f"{photo} is not rated: {doubt}, and exiftool does not read it either ({reading.warning}). A "
            "rating of yours may be in it, and a sidecar would hide that. Write its metadata anew, then run "
            "`maclip rate`."
        )
    return PhotoMetadata(photo, exif | values, document=document, is_whole_document=not is_read)


def _values_of(document: bytes) -> exiv2_tags.Values:
    """Return the properties of an XMP document by exiv2 key; none where it is empty or exiv2 refuses it."""
    if not document:
        return {}
    try:
        xmp_text.read(document)
        with exiv2_tags.open_bytes(document) as image:
            return exiv2_tags.read_xmp(image)
    except WriteRefused:
        return {}


def rating_of(metadata: PhotoMetadata, last_written: int | None) -> FoundRating:
    """Return the rating and its owner."""
    owner, rating, stars = ownership.owner_of(metadata.values, last_written)
    digest = None if metadata.data is None else safe_writer.digest(metadata.data)
    # An export of darktable has its mark too, in the photo itself.
    by_darktable = metadata.data is not None and first_star.DARKTABLE_KEY in metadata.values
    is_first_star = by_darktable and owner == "person" and first_star.may_be(metadata.values, rating, stars)
    proof = write_proof.find(metadata.values, metadata.leaves) if owner == "maclip" else None
    may_be_copy = metadata.data is not None and owner == "person"
    return FoundRating(
        owner,
        rating,
        stars,
        metadata.source,
        digest,
        proof,
        by_darktable=by_darktable,
        score=ownership.score_of(metadata.values),
        is_first_star=is_first_star,
        copied_from=ownership.copy_source(metadata.values, rating) if may_be_copy else None,
    )
