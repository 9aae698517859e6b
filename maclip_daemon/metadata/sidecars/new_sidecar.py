"""The content of a new sidecar: all metadata that photo managers read from the photo itself.

A sidecar replaces the embedded metadata in darktable and digiKam; one with a score alone would hide title
and tags. XMP wins over IPTC, and IPTC over EXIF, as the Metadata Working Group guidelines (2010,
chapter 5) and both applications have it. The conversions are exiv2's, the same library both build on.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pyexiv2

from maclip_daemon.errors import WriteRefused
from maclip_daemon.metadata.content import exiv2_tags, xmp_document, xmp_text
from maclip_daemon.metadata.content.xmp_document import Part
from maclip_daemon.metadata.sidecars.processing_state import is_processing_state

# What photo managers show or search. Not the orientation: every reader takes it from the photo, a copy goes
# stale when the photo is turned, and darktable would turn a HEIC, which is upright when decoded, once more.
_FROM_EXIF = {
    "http://purl.org/dc/elements/1.1/": {"creator", "description", "rights"},
    "http://ns.adobe.com/tiff/1.0/": {"Make", "Model"},
    "http://ns.adobe.com/xap/1.0/": {"CreateDate"},
    "http://ns.adobe.com/photoshop/1.0/": {"DateCreated"},
    "http://ns.adobe.com/exif/1.0/": {"DateTimeOriginal", "DateTimeDigitized", "UserComment"},
    "http://ns.adobe.com/exif/1.0/aux/": {"Lens", "LensID", "SerialNumber"},
    "http://cipa.jp/exif/1.0/": {"LensMake", "LensModel", "BodySerialNumber"},
}
_GPS = "{http://ns.adobe.com/exif/1.0/}GPS"
_USER_COMMENT = "{http://ns.adobe.com/exif/1.0/}UserComment"
_DESCRIPTION = "{http://purl.org/dc/elements/1.1/}description"


def build(photo: pyexiv2.Image) -> tuple[bytes, tuple[str, ...]]:
    """Return a sidecar with the photo's own metadata, and notes on what could not be carried over.

    Edits that other programs keep in the photo stay there (`processing_state`).
    """
    notes = []
    document, taken = xmp_document.EMPTY, set[str]()
    try:
        document, own = _own_xmp(photo)
        taken = {part.tag for part in own if xmp_document.has_value(part)}
    except WriteRefused as error:
        notes.append(f"its XMP could not be carried into the sidecar: {error}")
    for source in ("iptc", "exif") if exiv2_tags.has_iptc(photo) else ("exif",):
        try:
            converted = xmp_document.parts(_converted(photo, **{source: True}))
        except WriteRefused as error:
            notes.append(f"its {source.upper()} could not be carried into the sidecar: {error}")
            continue
        chosen = [part for part in converted if part.tag not in taken and xmp_document.has_value(part)]
        if source == "exif":
            chosen = _with_comment_as_description([part for part in chosen if _is_wanted(part.tag)], taken)
        taken.update(part.tag for part in chosen)
        document = xmp_document.with_parts(document, chosen)
    notes.extend(_losses(exiv2_tags.read_packet(photo), document))
    return document, tuple(notes)


def empty() -> bytes:
    """Return an empty sidecar, for photos whose metadata cannot be read."""
    return xmp_document.EMPTY


def _own_xmp(photo: pyexiv2.Image) -> tuple[bytes, list[Part]]:
    """Return the photo's own XMP without the edits of other programs, as a document and in parts."""
    converted = _converted(photo, xmp=True)
    own = xmp_document.parts(converted)
    if not own:
        return xmp_document.EMPTY, []
    kept = [part for part in own if not is_processing_state(*xmp_document.name_of(part))]
    if len(kept) == len(own):
        return converted, own
    return xmp_document.with_parts(xmp_document.EMPTY, kept), kept


def _converted(photo: pyexiv2.Image, *, xmp: bool = False, iptc: bool = False, exif: bool = False) -> bytes:
    with exiv2_tags.open_bytes(xmp_document.EMPTY) as sidecar:
        try:
            photo.copy_to_another_image(
                sidecar, exif=exif, iptc=iptc, xmp=xmp, comment=False, icc=False, thumbnail=False
            )
        except RuntimeError as error:
            raise WriteRefused(f"exiv2 cannot convert it ({error})") from None
        return bytes(sidecar.get_bytes())


def _is_wanted(tag: str) -> bool:
    namespace, _, name = tag[1:].partition("}")
    return tag.startswith(_GPS) or name in _FROM_EXIF.get(namespace, ())


def _with_comment_as_description(chosen: list[Part], taken: set[str]) -> list[Part]:
    """Use EXIF's user comment as the description: darktable shows it first, and a sidecar would hide it."""
    comment = next((part for part in chosen if part.tag == _USER_COMMENT), None)
    if comment is None or _DESCRIPTION in taken:
        return chosen
    description = copy.deepcopy(comment)
    description.tag = _DESCRIPTION
    return [part for part in chosen if part.tag != _DESCRIPTION] + [description]


def _losses(packet: bytes, document: bytes) -> Iterator[str]:
    """Yield a note on what exiv2 did not carry over; darktable and digiKam do not see it either."""
    if not packet:
        return
    try:
        embedded = xmp_text.read(packet)
    except WriteRefused as refusal:
        yield f"its embedded XMP could not be checked: {refusal}"
        return
    left = frozenset(path for path in embedded if is_processing_state(*xmp_text.top_level(path)[:2]))
    lost = xmp_text.lost(embedded, xmp_text.read(document), left)
    if lost:
        example = lost[0].rpartition("/")[2]
        yield f"exiv2 did not carry over {len(lost)} embedded properties, among them {example}"
