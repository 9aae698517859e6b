"""XMP that is nearly well-formed: made sound where its meaning is plain.

Old programs wrote local encodings and bare ampersands, and pasted one description with another's
`rdf:about`. exiftool reads these too, but has question marks in place of the letters.
"""

from __future__ import annotations

import re

from maclip_daemon.errors import WriteRefused
from maclip_daemon.metadata.content import xmp_encoding, xmp_text
from maclip_daemon.metadata.content.exiv2_tags import decoded

_BARE_AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[0-9A-Fa-f]+);)")
_ABOUT = re.compile(r"(?<=\s)rdf:about\s*=\s*(?:\"[^\"]*\"|'[^']*')")
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def mended(packet: bytes) -> bytes | None:
    """Return the packet as sound XMP in UTF-8; None where that needs more than a guess at its letters."""
    if len(packet) % 2 and b"\0" in packet:
        packet += b"\0"  # the half of UTF-16's last letter that was taken for padding
    try:
        text = decoded(xmp_encoding.to_utf8(packet).strip(b"\0 \r\n\t"))
        text = _NOT_IN_XML.sub("", _BARE_AMPERSAND.sub("&amp;", text))
        document = xmp_encoding.with_usual_namespaces(_ABOUT.sub('rdf:about=""', text).encode("utf-8"))
        xmp_text.read(document)
    except (WriteRefused, UnicodeError):
        return None
    return document
