"""Does a photo hold XMP that exiv2 did not read? A rating may be there, and a sidecar would hide it.

For a sound photo this costs one look at its first kilobytes.
"""

from __future__ import annotations

import re

from maclip_daemon.metadata.content import exiv2_tags, xmp_packets
from maclip_daemon.metadata.content.photo_file import PhotoFile

# What a person writes; the extended XMP of phones holds depth maps and second pictures alone.
_WRITTEN_BY_PEOPLE = re.compile(
    rb"Rating|PickLabel|[<\s\"']xmpDM:(?:pick|good)|[<\s]dc:|TagsList|[<\s]lr:|[<\s]photoshop:|[<\s]Iptc4xmp"
)
# EXIF Rating and RatingPercent, each as one SHORT above zero: an entry of twelve bytes.
_EXIF_RATING = re.compile(
    rb"[\x46\x49]\x47\x03\x00\x01\x00\x00\x00(?!\x00\x00)|\x47[\x46\x49]\x00\x03\x00\x00\x00\x01(?!\x00\x00)",
    re.DOTALL,
)
_HEAD = 256 << 10  # bytes of a photo that hold its EXIF
_ANY_METADATA = re.compile(rb"Exif\0\0|<x:xmpmeta|<rdf:RDF|W5M0MpCehiHzreSzNTczkc9d|8BIM|II\*\0|MM\0\*|Exif")
_EXIF_RATING_KEYS = ("Exif.Image.Rating", "Exif.Image.RatingPercent")


def doubt(photo: PhotoFile, image: exiv2_tags.OpenedPhoto, values: exiv2_tags.Values) -> str:
    """Return why there may be more than the `values` that exiv2 read; '' when it has read all.

    The reason is half a sentence ("its …"). Raises `OSError`.
    """
    if image.checked.refusal:
        return f"its embedded XMP is damaged: {image.checked.refusal}"
    if image.checked.leaves and not any(key.startswith("Xmp.") for key in values):
        return "its embedded XMP contradicts itself"
    if image.has_complaints and _has_unread_exif_rating(photo, values):
        return "its EXIF is damaged, and a rating is in it"
    found = xmp_packets.find(photo, only_jpeg=bool(image.checked.packet))
    if found.count > 1:
        return f"it holds {found.count} XMP packets"
    if found.count and not image.checked.packet:
        return "its embedded XMP is in a form that exiv2 does not read"
    if _WRITTEN_BY_PEOPLE.search(found.extension):
        return "it holds extended XMP"
    return ""


def has_further_packets(photo: PhotoFile) -> bool:
    """Return whether a JPEG holds XMP beside its first packet. Raises `OSError`."""
    found = xmp_packets.find(photo, only_jpeg=True)
    return found.count > 1 or _WRITTEN_BY_PEOPLE.search(found.extension) is not None


def holds_any(photo: PhotoFile) -> bool:
    """Return whether a photo that exiv2 cannot open may hold any metadata. Raises `OSError`."""
    if xmp_packets.find(photo).count:
        return True
    with photo.opened() as file:
        return _ANY_METADATA.search(file.read(_HEAD)) is not None


def _has_unread_exif_rating(photo: PhotoFile, values: exiv2_tags.Values) -> bool:
    if any(key in values for key in _EXIF_RATING_KEYS):
        return False
    with photo.opened() as file:
        return _EXIF_RATING.search(file.read(_HEAD)) is not None
