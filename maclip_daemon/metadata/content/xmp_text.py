"""XMP as text: is it safe to parse, and which values does it hold?

The check comes before exiv2 sees a sidecar, and the reading here is independent of exiv2, so that a loss
inside exiv2 cannot hide itself.
"""

from __future__ import annotations

import re
from xml.parsers import expat

from maclip_daemon.errors import WriteRefused

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
    "xmpDM": "http://ns.adobe.com/xmp/1.0/DynamicMedia/",
    "xmpNote": "http://ns.adobe.com/xmp/note/",
}

Wanted = dict[str, str | list[str] | None]
"""Values by exiv2 key; None takes a property away."""

SIZE_LIMIT = 16 << 20  # bytes; darktable's largest histories with drawn masks are about 2 MB
_DEPTH_LIMIT = 200  # nested elements; real files have about ten
# exiv2 takes the square of these: 20 000 properties of one description keep it busy for minutes.
_PROPERTIES_LIMIT = 2000  # of one parent, list items aside; real files have below a hundred
_NAMESPACES_LIMIT = 500  # declarations of prefixes not seen before; real files have about thirty
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns# "
_XML = "http://www.w3.org/XML/1998/namespace "
_META = "adobe:ns:meta/ "
_LANGUAGE = _XML + "lang"
_RESOURCE = _RDF + "resource"
_LIST_ITEM = _RDF + "li"

_BINDING = re.compile(rb"xmlns:([^\s=]+)\s*=\s*([\"'])(.*?)\2", re.DOTALL)

Leaves = dict[str, str]
_TOP_LEVEL = re.compile(r"/(?P<namespace>\S*) (?P<name>[^ /\[]+)(?P<rest>.*)", re.DOTALL)


class ForeignPrefix(WriteRefused):
    """The document gives a familiar prefix another meaning, which exiv2 would keep for all later files."""


class _Reader:
    """Collects the leaf values of RDF while expat walks through it."""

    def __init__(self) -> None:
        self.leaves: Leaves = {}
        self.has_rdf = False
        self._paths: list[str] = [""]
        self._counts: list[int] = [0]
        self._properties: list[int] = [0]
        self._prefixes: set[str | None] = set()
        self._texts: list[list[str]] = [[]]

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._paths) > _DEPTH_LIMIT:
            raise WriteRefused("it is nested too deeply to be real XMP")
        self.has_rdf = self.has_rdf or name == _RDF + "RDF"
        path = self._paths[-1]
        counts_on = self._counts[-1]
        if name == _LIST_ITEM:
            counts_on = self._counts[-1] = counts_on + 1
            path += f"[{attributes.get(_LANGUAGE, counts_on)}]"
        elif not name.startswith((_RDF, _META)):
            path += f"/{name}"
            self._properties[-1] += 1
        for attribute, value in attributes.items():
            if attribute == _RESOURCE:
                self._add(path, value)
            elif " " in attribute and not attribute.startswith((_RDF, _XML, _META)):
                self._add(f"{path}/{attribute}", value)
        if max(self._properties[-1], len(attributes)) > _PROPERTIES_LIMIT:
            raise WriteRefused("it has too many properties to be real XMP")
        self._paths.append(path)
        self._counts.append(0)
        self._properties.append(0)
        self._texts.append([])

    def namespace(self, prefix: str | None, uri: str | None) -> None:
        if prefix in NAMESPACES and uri != NAMESPACES[prefix]:
            raise ForeignPrefix(f"it binds the prefix {prefix} to the namespace {uri} of its own")
        self._prefixes.add(prefix)
        if len(self._prefixes) > _NAMESPACES_LIMIT:
            raise WriteRefused("it has too many namespaces to be real XMP")

    def text(self, text: str) -> None:
        self._texts[-1].append(text)

    def end(self, _name: str) -> None:
        path = self._paths.pop()
        self._counts.pop()
        self._properties.pop()
        text = "".join(self._texts.pop())
        if text.strip():
            self._add(path, text)

    def _add(self, path: str, value: str) -> None:
        if value:
            self.leaves[path] = value


def read(data: bytes) -> Leaves:
    """Read the leaf values of an XMP document: path (namespaces in full, list positions) → text.

    Raises `WriteRefused` with half a sentence ("it …") when the document is too large or not well-formed, has
    a document type or entities of its own, or is not RDF.
    """
    if len(data) > SIZE_LIMIT:
        raise WriteRefused(f"it has {len(data) >> 20} MiB; more than {SIZE_LIMIT >> 20} MiB is not read")
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.StartNamespaceDeclHandler = reader.namespace
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse_document_type
    parser.EntityDeclHandler = _refuse_document_type
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise WriteRefused(
            f"it is not well-formed XML (line {error.lineno}, column {error.offset})"
        ) from None
    except (LookupError, ValueError):  # of Python, which expat asks for encodings that it does not know
        raise WriteRefused("it declares an encoding that is not known") from None
    if not reader.has_rdf:
        raise WriteRefused("it holds no RDF and so is not XMP")
    return reader.leaves


def has_comments(data: bytes) -> bool:
    """Return whether a well-formed document has XML comments, which no XMP library keeps."""
    found: list[str] = []
    parser = expat.ParserCreate()
    parser.CommentHandler = found.append
    parser.Parse(data, True)
    return bool(found)


def top_level(path: str) -> tuple[str, str, str]:
    """Return namespace and name of the top-level property that a leaf belongs to, and the path within it."""
    found = _TOP_LEVEL.fullmatch(path)
    return (found["namespace"], found["name"], found["rest"]) if found else ("", path, "")


def may_mislead(data: bytes) -> bool:
    """Return whether text that `read` refused may change what prefixes mean to exiv2; True when in doubt.

    Most damaged packets cannot, and a process that must end after each of them is slow.
    """
    if b"\0" in data:  # UTF-16 or worse
        return True
    bindings = _BINDING.findall(data)
    return len(bindings) > _NAMESPACES_LIMIT or any(
        NAMESPACES.get(prefix.decode("latin-1"), uri.decode("latin-1")) != uri.decode("latin-1")
        for prefix, _, uri in bindings
    )


def lost(before: Leaves, after: Leaves, intended: frozenset[str]) -> list[str]:
    """Return the paths whose value is gone or altered in `after`, other than the `intended` ones.

    A single text that became the only item of a list (as XMP prescribes for dc:subject and dc:title) is kept.
    """
    return [
        path
        for path, value in before.items()
        if path not in intended
        and value not in (after.get(path), after.get(f"{path}[1]"), after.get(f"{path}[x-default]"))
    ]


def _refuse_document_type(*_: object) -> None:
    raise WriteRefused("it declares a document type or entities, which XMP has no use for")
