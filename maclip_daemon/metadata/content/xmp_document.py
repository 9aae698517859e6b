"""XMP taken apart into its top-level properties and put together again.

exiv2 puts all properties into one rdf:Description, simple ones as attributes, and knows one prefix for each
namespace; exiftool makes one rdf:Description for each namespace.
"""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Sequence
from xml.parsers import expat

from maclip_daemon.errors import WriteRefused

Part = ElementTree.Element

EMPTY = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about=""/></rdf:RDF></x:xmpmeta>\n'
)
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_SYNTAX = ("{http://www.w3.org/XML/1998/namespace}", f"{{{_RDF}}}parseType")
_END_OF_RDF = b"</rdf:RDF>"


def parts(document: bytes) -> list[Part]:
    """Return the top-level properties of a document, each as an element; empty without any RDF.

    Raises `WriteRefused` where exiv2 wrote XML that is not well-formed.
    """
    if _END_OF_RDF not in document:
        return []
    try:
        _keep_prefixes(document)
        return list(_parts(ElementTree.fromstring(document)))
    except (ElementTree.ParseError, expat.ExpatError):
        raise WriteRefused("exiv2 made no well-formed XML of it") from None


def has_value(part: Part) -> bool:
    """Return whether a property holds any text."""
    return any(text.strip() for text in part.itertext()) or any(
        value.strip() and not name.startswith(_SYNTAX)
        for element in part.iter()
        for name, value in element.attrib.items()
    )


def name_of(part: Part) -> tuple[str, str]:
    """Return namespace and name of a property."""
    namespace, _, name = part.tag[1:].partition("}")
    return namespace, name


def with_parts(document: bytes, properties: Sequence[Part]) -> bytes:
    """Return the document with further properties; exiv2 brings it into its own form when it writes it."""
    if not properties:
        return document
    description = ElementTree.Element(f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": ""})
    description.extend(properties)
    before, end, after = document.rpartition(_END_OF_RDF)
    return before + ElementTree.tostring(description) + end + after


def only(document: bytes, is_kept: Callable[[Part], bool]) -> tuple[bytes, list[Part]]:
    """Return the document with these of its properties, and the properties; the same bytes where all stay."""
    present = parts(document)
    kept = [part for part in present if is_kept(part)]
    return (document if len(kept) == len(present) else with_parts(EMPTY, kept)), kept


def _parts(root: ElementTree.Element) -> Iterator[Part]:
    for rdf in root.iter(f"{{{_RDF}}}RDF"):
        for description in rdf.findall(f"{{{_RDF}}}Description"):  # those of structures are deeper
            for name, value in description.attrib.items():
                if not name.startswith(f"{{{_RDF}}}"):
                    element = ElementTree.Element(name)
                    element.text = value
                    yield element
            yield from description


def _keep_prefixes(document: bytes) -> None:
    """Register exiv2's prefixes with ElementTree; exiv2 fails on two prefixes for one namespace."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartNamespaceDeclHandler = _keep_prefix
    parser.Parse(document, True)


def _keep_prefix(prefix: str | None, namespace: str | None) -> None:
    if prefix is not None and namespace is not None:
        with contextlib.suppress(ValueError):  # a name like ns1 is reserved, and what ElementTree makes up
            ElementTree.register_namespace(prefix, namespace)
