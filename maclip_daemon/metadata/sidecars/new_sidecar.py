"""The content of a new sidecar: all metadata that photo managers read from the photo itself.

A sidecar replaces the embedded metadata in darktable and digiKam; one with a score alone would hide title,
tags and history. XMP wins over IPTC, and IPTC over EXIF, as the Metadata Working Group guidelines (2010,
chapter 5) and both applications have it. The conversions are exiv2's, the same library both build on.
"""

from __future__ import annotations

import contextlib
import copy
import io
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator

import pyexiv2

from maclip_daemon.errors import WriteRefused
from maclip_daemon.metadata.content import exiv2_tags, xmp_text

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_SKELETON = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about=""/></rdf:RDF></x:xmpmeta>\n'
)
_END_OF_RDF = b"</rdf:RDF>"
_EXTENSION_NOTE = "/http://ns.adobe.com/xmp/note/ HasExtendedXMP"
_EXTENSION_NAME = "{http://ns.adobe.com/xmp/note/}HasExtendedXMP"
_EXTENSION_KEY = "Xmp.xmpNote.HasExtendedXMP"  # points into the photo's other segments: wrong in a sidecar

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
    """Return a sidecar with the photo's own metadata, and notes on what could not be carried over."""
    notes = []
    document, taken = _SKELETON, set[str]()
    try:
        converted = _converted(photo, xmp=True)
        if _END_OF_RDF in converted:
            document, taken = converted, set(_names(converted))
    except WriteRefused as error:
        notes.append(f"its XMP could not be carried into the sidecar: {error}")
    for source in ("iptc", "exif") if exiv2_tags.has_iptc(photo) else ("exif",):
        try:
            converted = _converted(photo, **{source: True})
            _keep_prefixes(converted)
            chosen = [part for part in _parts(converted) if part.tag not in taken]
        except (WriteRefused, ElementTree.ParseError) as error:
            notes.append(f"its {source.upper()} could not be carried into the sidecar: {error}")
            continue
        if source == "exif":
            chosen = _with_comment_as_description([part for part in chosen if _is_wanted(part.tag)], taken)
        taken.update(part.tag for part in chosen)
        document = _with(document, chosen)
    if _EXTENSION_NAME in taken:
        document = exiv2_tags.change_sidecar(document, {_EXTENSION_KEY: None})
    notes.extend(_losses(exiv2_tags.read_packet(photo), document))
    return document, tuple(notes)


def empty() -> bytes:
    """Return an empty sidecar, for photos whose metadata cannot be read."""
    return _SKELETON


def _converted(photo: pyexiv2.Image, *, xmp: bool = False, iptc: bool = False, exif: bool = False) -> bytes:
    with exiv2_tags.open_bytes(_SKELETON) as sidecar:
        try:
            photo.copy_to_another_image(
                sidecar, exif=exif, iptc=iptc, xmp=xmp, comment=False, icc=False, thumbnail=False
            )
        except RuntimeError as error:
            raise WriteRefused(f"exiv2 cannot convert it ({error})") from None
        return bytes(sidecar.get_bytes())


def _parts(document: bytes) -> Iterator[ElementTree.Element]:
    """Yield the top-level properties of exiv2's own output that have a value, each as an element."""
    for description in ElementTree.fromstring(document).iter(f"{{{_RDF}}}Description"):
        for name, value in description.attrib.items():
            if value.strip() and not name.startswith(f"{{{_RDF}}}"):
                element = ElementTree.Element(name)
                element.text = value
                yield element
        for child in description:
            if any(text.strip() for text in child.itertext()):
                yield child
        return  # the first one holds all; the others are inside of structures


def _names(document: bytes) -> Iterator[str]:
    try:
        yield from (part.tag for part in _parts(document))
    except ElementTree.ParseError as error:
        raise WriteRefused(f"exiv2 made no well-formed XML of its XMP ({error})") from None


def _is_wanted(tag: str) -> bool:
    namespace, _, name = tag[1:].partition("}")
    return tag.startswith(_GPS) or name in _FROM_EXIF.get(namespace, ())


def _with_comment_as_description(
    chosen: list[ElementTree.Element], taken: set[str]
) -> list[ElementTree.Element]:
    """Use EXIF's user comment as the description: darktable shows it first, and a sidecar would hide it."""
    comment = next((part for part in chosen if part.tag == _USER_COMMENT), None)
    if comment is None or _DESCRIPTION in taken:
        return chosen
    description = copy.deepcopy(comment)
    description.tag = _DESCRIPTION
    return [part for part in chosen if part.tag != _DESCRIPTION] + [description]


def _with(document: bytes, properties: list[ElementTree.Element]) -> bytes:
    if not properties:
        return document
    description = ElementTree.Element(f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": ""})
    description.extend(properties)
    before, end, after = document.rpartition(_END_OF_RDF)
    return before + ElementTree.tostring(description) + end + after


def _keep_prefixes(document: bytes) -> None:
    """Register exiv2's prefixes with ElementTree; exiv2 fails on two prefixes for one namespace."""
    for _, (prefix, namespace) in ElementTree.iterparse(io.BytesIO(document), events=("start-ns",)):
        with contextlib.suppress(ValueError):  # a name like ns1 is reserved, and what ElementTree makes up
            ElementTree.register_namespace(prefix, namespace)


def _losses(packet: bytes, document: bytes) -> Iterator[str]:
    """Yield a note on what exiv2 did not carry over; darktable and digiKam do not see it either."""
    if not packet:
        return
    try:
        embedded = xmp_text.read(packet)
    except WriteRefused as refusal:
        yield f"its embedded XMP could not be checked: {refusal}"
        return
    lost = xmp_text.lost(embedded, xmp_text.read(document), frozenset({_EXTENSION_NOTE}))
    if lost:
        example = lost[0].rpartition("/")[2]
        yield f"exiv2 did not carry over {len(lost)} embedded properties, among them {example}"
