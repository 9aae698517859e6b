"""The encoding of a sidecar: exiv2 reads UTF-8 alone, XMP may be UTF-16 and UTF-32 as well."""

from __future__ import annotations

import codecs
import re

from maclip_daemon.errors import WriteRefused

_UTF8 = frozenset({"utf-8", "ascii"})
_MARKS = (  # the longer ones first: UTF-32's begins like UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    ("<".encode("utf-32-le"), "utf-32-le"),
    ("<".encode("utf-32-be"), "utf-32-be"),
    ("<".encode("utf-16-le"), "utf-16-le"),
    ("<".encode("utf-16-be"), "utf-16-be"),
)
_DECLARATION = re.compile(r"(?P<before>^\s*<\?xml\b[^>]*?)\s+encoding\s*=\s*([\"'])(?P<name>[\w.:-]+)\2")


# exiftool 12 writes this namespace without its last slash, also into the files of others.
_ALIASES = {b"http://ns.microsoft.com/photo/1.0": b"http://ns.microsoft.com/photo/1.0/"}


def with_usual_namespaces(document: bytes) -> bytes:
    """Return a document in UTF-8 with the usual spelling of namespaces that some program spells otherwise."""
    for alias, usual in _ALIASES.items():
        for quote in (b'"', b"'"):
            document = document.replace(quote + alias + quote, quote + usual + quote)
    return document


def to_utf8(data: bytes) -> bytes:
    """Return an XMP document in UTF-8; the same bytes when it is already.

    Raises `WriteRefused` with half a sentence ("it …") when it is not in the encoding that it declares.
    """
    name = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), None)
    if name is None:
        declared = _DECLARATION.search(data[:200].decode("latin-1"))
        if declared is None:
            return data
        try:
            name = codecs.lookup(declared["name"]).name
        except LookupError:
            raise WriteRefused(f"it declares the encoding {declared['name']}, which is not known") from None
        if name in _UTF8 or name.startswith(
            "utf-16"
        ):  # a program may convert a file and leave the declaration
            return (
                data
                if name in _UTF8
                else _DECLARATION.sub(r"\g<before>", data.decode("latin-1"), 1).encode("latin-1")
            )
    try:
        text = data.decode(name).removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    except (UnicodeError, LookupError):
        raise WriteRefused(f"it is not the {name.upper()} that it seems to be") from None
    return _DECLARATION.sub(r"\g<before>", text, count=1).encode("utf-8", "surrogatepass")
