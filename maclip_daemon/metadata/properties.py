"""Our properties: what one score looks like in XMP.

Numbers and times are formatted so that writing the same score again changes no byte.
"""

from __future__ import annotations

import re
from datetime import UTC

from maclip_daemon.metadata import ownership
from maclip_daemon.metadata.records import RatingRequest

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
    "xmpNote": "http://ns.adobe.com/xmp/note/",
}
NAMES = ("Score", "Percentile", "Stars", "Metric", "Model", "Protocol", "ScoredAt")

_NOT_IN_XML = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def wanted(request: RatingRequest, present: ownership.Values) -> dict[str, str | None]:
    """The exiv2 keys to set and their texts, for a file that holds `present`; None: to be removed.

    Includes xmp:Rating and the other rating fields of the file, which are kept in step.
    """
    quality = request.quality
    texts: dict[str, str | None] = {
        "Score": f"{quality.score:.6f}",
        "Percentile": None if quality.percentile is None else f"{quality.percentile:.2f}",
        "Stars": str(request.rating),
        "Metric": _clean(quality.metric),
        "Model": _clean(quality.model),
        "Protocol": _clean(quality.protocol),
        "ScoredAt": quality.scored_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    values: dict[str, str | None] = {f"Xmp.{PREFIX}.{name}": text for name, text in texts.items()}
    values[ownership.RATING_KEY] = str(request.rating)
    values.update(ownership.fields_in_step(present, request.rating))
    return values


def says_already(present: ownership.Values, values: dict[str, str | None]) -> bool:
    """Whether the file holds exactly these values, so that nothing needs to be written."""
    return all(present.get(key) == text for key, text in values.items())


def _clean(text: str) -> str:
    """Without the characters that XML cannot hold; a model may be named after a file's path."""
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)
