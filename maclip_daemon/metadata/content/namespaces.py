"""XMP namespaces (XMP Specification Part 2), with the prefixes through which exiv2 writes them."""

from __future__ import annotations

NAMESPACE = "http://ns.maclip-daemon/quality/1.0/"
PREFIX = "maclip"
# The prefixes through which values are written, as exiv2 has them.
NAMESPACES = {
    PREFIX: NAMESPACE,
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "MicrosoftPhoto": "http://ns.microsoft.com/photo/1.0/",
    "acdsee": "http://ns.acdsee.com/iptc/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "aux": "http://ns.adobe.com/exif/1.0/aux/",
    "exifEX": "http://cipa.jp/exif/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "xmpNote": "http://ns.adobe.com/xmp/note/",
}

Wanted = dict[str, str | list[str] | None]
"""Values by exiv2 key; None takes a property away."""
