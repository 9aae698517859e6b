"""The content of a new sidecar: all metadata that photo managers read from the photo itself.

A sidecar replaces the embedded metadata in darktable and digiKam; one with a score alone would hide title
and tags. XMP wins over IPTC, and IPTC over EXIF, as the Metadata Working Group guidelines (2010,
chapter 5) and both applications have it. The conversions are exiv2's, the same library both build on.
"""

from __future__ import annotations

import contextlib
import copy
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from functools import partial

import pyexiv2

from maclip_daemon.errors import WriteRefused
from maclip_daemon.metadata.content import exif_apart, exiv2_tags, xmp_document, xmp_text
from maclip_daemon.metadata.content.photo_file import PhotoFile
from maclip_daemon.metadata.content.xmp_document import Part
from maclip_daemon.metadata.sidecars.processing_state import is_processing_state
from maclip_daemon.metadata.sidecars.read_metadata import PhotoMetadata

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
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_DESCRIPTION = "{http://purl.org/dc/elements/1.1/}description"


def build(file: PhotoFile, own: PhotoMetadata) -> tuple[bytes, tuple[str, ...]]:
    """Return a sidecar with the photo's own metadata, and notes on what could not be carried over.

    `own`: what was read of the photo. Edits that other programs keep in the photo stay there
    (`processing_state`). Raises `WriteRefused` when exiv2 can no longer read the photo.
    """
    if own.is_whole_document and not own.document:
        return xmp_document.EMPTY, (f"no metadata of {file.path} is carried over: exiv2 cannot read it",)
    if own.is_whole_document:
        return _without_edits(own.document or b"", with_empty=False)[0], ()
    return _of_image(exiv2_tags.open_photo(file), own)


def _of_image(image: exiv2_tags.OpenedPhoto, read: PhotoMetadata) -> tuple[bytes, tuple[str, ...]]:
    """Return the sidecar and the notes; `read`: what was read of this photo before."""
    notes = []
    xmp = read.document  # where exiv2 does not read it in the photo
    document, taken, empty = xmp_document.EMPTY, set[str](), set[str]()
    try:
        converted = _converted(image, xmp=True) if xmp is None else xmp
        document, own = _without_edits(converted, with_empty=xmp is None)
        taken = {part.tag for part in own if xmp_document.has_value(part)}
        empty = {part.tag for part in own} - taken
    except WriteRefused as error:
        notes.append(f"its XMP could not be carried into the sidecar: {error}")
    for source in ("iptc", "exif") if exiv2_tags.has_iptc(image) else ("exif",):
        try:
            is_exif = source == "exif"
            parts = _from_exif(image, read) if is_exif else xmp_document.parts(_converted(image, iptc=True))
        except WriteRefused as error:
            notes.append(f"its {source.upper()} could not be carried into the sidecar: {error}")
            continue
        chosen = [part for part in parts if part.tag not in taken and xmp_document.has_value(part)]
        if source == "exif":
            chosen = _with_comment_as_description([part for part in chosen if _is_wanted(part.tag)], taken)
        if replaced := empty & {part.tag for part in chosen}:
            document, _ = xmp_document.only(document, partial(_is_none_of, replaced))
        taken.update(part.tag for part in chosen)
        document = xmp_document.with_parts(document, chosen)
    if xmp is None:
        notes.extend(_losses(image.checked, document))
    return document, tuple(notes)


def _is_none_of(tags: set[str], part: Part) -> bool:
    return part.tag not in tags


def _from_exif(image: exiv2_tags.OpenedPhoto, read: PhotoMetadata) -> list[Part]:
    """Return the EXIF as XMP; where one text cannot be converted, the rest and what can be read of it."""
    if not read.has_odd_exif:
        with contextlib.suppress(WriteRefused):
            return xmp_document.parts(_converted(image, exif=True))
    with exif_apart.open_exif(image) as apart:
        parts = xmp_document.parts(_converted(apart.image, exif=True))
    return [*parts, _alternatives(_USER_COMMENT, apart.comment)] if apart.comment else parts


def _alternatives(tag: str, text: str) -> Part:
    """Return a text with its only language, as XMP has comments and descriptions."""
    part = ElementTree.Element(tag)
    list_ = ElementTree.SubElement(part, f"{_RDF}Alt")
    item = ElementTree.SubElement(list_, f"{_RDF}li", {_LANGUAGE: "x-default"})
    item.text = text
    return part


def _without_edits(own: bytes, *, with_empty: bool = True) -> tuple[bytes, list[Part]]:
    """Return a photo's own XMP without the edits of other programs, as a document and in parts.

    `with_empty`: with properties without a value, some of which exiv2 writes as others.
    """

    def is_carried(part: Part) -> bool:
        is_edit = is_processing_state(*xmp_document.name_of(part))
        return not is_edit and (with_empty or xmp_document.has_value(part))

    document, kept = xmp_document.only(own, is_carried)
    return (document if kept else xmp_document.EMPTY), kept


def _converted(photo: pyexiv2.Image, *, xmp: bool = False, iptc: bool = False, exif: bool = False) -> bytes:
    with exiv2_tags.open_bytes(xmp_document.EMPTY) as sidecar:
        try:
            photo.copy_to_another_image(
                sidecar, exif=exif, iptc=iptc, xmp=xmp, comment=False, icc=False, thumbnail=False
            )
        except RuntimeError:
            raise WriteRefused("exiv2 cannot convert it") from None
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


def _losses(checked: exiv2_tags.CheckedPacket, document: bytes) -> Iterator[str]:
    """Yield a note on what exiv2 did not carry over; darktable and digiKam do not see it either."""
    embedded = checked.leaves
    if embedded is None:
        return
    left = frozenset(path for path in embedded if is_processing_state(*xmp_text.top_level(path)[:2]))
    lost = xmp_text.lost(embedded, xmp_text.read(document), left)
    if lost:
        example = lost[0].rpartition("/")[2]
        yield f"exiv2 did not carry over {len(lost)} embedded properties, among them {example}"
