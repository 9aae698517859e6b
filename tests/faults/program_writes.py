"""Metadata as other programs write it, and an independent reading of it: no code of maclip, none of exiv2.

The forms are those of files that darktable (4.2.1, 5.4.1) and digiKam (7.9.0, 9.1.0) wrote. exiftool is the
real program.
"""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import Self
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XML = "http://www.w3.org/XML/1998/namespace"
PREFIXES = {
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "maclip": "http://ns.maclip-daemon/quality/1.0/",
    "darktable": "http://darktable.sf.net/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "acdsee": "http://ns.acdsee.com/iptc/1.0/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
}
_NAMES = {namespace: prefix for prefix, namespace in PREFIXES.items()} | {RDF: "rdf", XML: "xml"}
_EXIFTOOLS_SPELLING = (
    rb"""(http://ns\.microsoft\.com/photo/1\.0)(["'])"""  # of a namespace that ends in a slash
)
_APP1 = b"http://ns.adobe.com/xap/1.0/\0"


def name_of(key: str) -> str:
    """Return the full name of a property such as `dc:title`."""
    prefix, _, name = key.partition(":")
    return f"{{{PREFIXES[prefix]}}}{name}"


class Packet:
    """The top-level properties of one XMP packet, each an element, by full name."""

    def __init__(self, properties: dict[str, ElementTree.Element] | None = None) -> None:
        self.properties = properties or {}

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a packet. Attributes and elements are two spellings of one property."""
        found: dict[str, ElementTree.Element] = {}
        (rdf,) = ElementTree.fromstring(data).iter(f"{{{RDF}}}RDF")
        for description in rdf:
            for name, value in description.attrib.items():
                if not name.startswith(f"{{{RDF}}}"):
                    found[name] = _element(name, value)
            found.update((child.tag, child) for child in description)
        return cls(found)

    @classmethod
    def of(cls, file: Path) -> Self:
        """Read a sidecar, or the XMP inside of a JPEG; an empty packet where there is none."""
        if not file.exists():
            return cls()
        data = file.read_bytes()
        if file.suffix == ".xmp":
            return cls.parse(data)
        packet = embedded(data)
        return cls.parse(packet) if packet else cls()

    def text(self, key: str) -> str | None:
        """Return a property's text: of a list, all its items with bars between them."""
        element = self.properties.get(name_of(key))
        return None if element is None else _text(element)

    @property
    def rating(self) -> int | None:
        """Return xmp:Rating, or digiKam's and ACDSee's field where that has none."""
        texts = [text for key in ("xmp:Rating", "acdsee:rating") if (text := self.text(key)) is not None]
        return next((int(text) for text in texts if int(text)), 0 if texts else None)

    @property
    def stars(self) -> int | None:
        text = self.text("maclip:Stars")
        return None if text is None else int(text)

    def values(self) -> dict[str, str]:
        """Return all properties that have a text, by full name."""
        return {name: text for name, element in self.properties.items() if (text := _text(element))}

    def put(self, key: str, text: str | None) -> None:
        """Set a simple property; None removes it."""
        self.properties.pop(name_of(key), None)
        if text is not None:
            self.properties[name_of(key)] = _element(name_of(key), text)

    def put_title(self, title: str) -> None:
        element = _element(name_of("dc:title"), None)
        alternatives = ElementTree.SubElement(element, f"{{{RDF}}}Alt")
        item = ElementTree.SubElement(alternatives, f"{{{RDF}}}li", {f"{{{XML}}}lang": "x-default"})
        item.text = title
        self.properties[name_of("dc:title")] = element

    def put_list(self, key: str, kind: str, *items: str) -> None:
        element = _element(name_of(key), None)
        parent = ElementTree.SubElement(element, f"{{{RDF}}}{kind}")
        for text in items:
            ElementTree.SubElement(parent, f"{{{RDF}}}li").text = text
        self.properties[name_of(key)] = element

    def as_attributes(self) -> bytes:
        """Return the packet as darktable writes it: simple properties as attributes, in order."""
        ordered = sorted(self.properties.values(), key=lambda element: _short(element.tag))
        simple = [element for element in ordered if not len(element) and not element.attrib]
        rest = [element for element in ordered if len(element) or element.attrib]
        attributes = "".join(f"\n   {_short(each.tag)}={quoteattr(each.text or '')}" for each in simple)
        head = '<?xml version="1.0" encoding="UTF-8"?>\n'
        return (head + _document(attributes, rest, ordered)).encode()

    def as_elements(self) -> bytes:
        """Return the packet as digiKam writes it: elements, in a packet wrapper."""
        all_of_them = list(self.properties.values())
        head = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        return (head + _document("", all_of_them, all_of_them) + '<?xpacket end="w"?>').encode()


def embedded(data: bytes) -> bytes:
    """Return the XMP packet of a JPEG; empty without one."""
    for start, end in _segments(data):
        if data[start + 4 : end].startswith(_APP1):
            return data[start + 4 + len(_APP1) : end]
    return b""


def embed(data: bytes, packet: bytes) -> bytes:
    """Return a JPEG with another XMP packet."""
    head = next((end for start, end in _segments(data) if data[start + 1] in (0xE0, 0xE1)), 2)
    for start, end in _segments(data):
        if data[start + 4 : end].startswith(_APP1):
            data, head = data[:start] + data[end:], start
            break
    segment = b"\xff\xe1" + struct.pack(">H", len(packet) + len(_APP1) + 2) + _APP1 + packet
    return data[:head] + segment + data[head:]


def _segments(data: bytes) -> list[tuple[int, int]]:
    """Return start and end of a JPEG's segments up to its pixels."""
    found, at = [], 2
    while data[at] == 0xFF and data[at + 1] != 0xDA:
        end = at + 2 + int(struct.unpack(">H", data[at + 2 : at + 4])[0])
        found.append((at, end))
        at = end
    return found


class Exiftool:
    """A running exiftool."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["exiftool", "-stay_open", "True", "-@", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, *arguments: str) -> str:
        """Run one command and return its output."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        lines = ("-overwrite_original", *arguments, "-execute", "")
        self._process.stdin.write("\n".join(lines).encode())
        self._process.stdin.flush()
        output: list[str] = []
        while not (line := self._process.stdout.readline().decode()).startswith("{ready}"):
            assert line, "exiftool ended"
            output.append(line)
        return "".join(output)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def _element(name: str, text: str | None) -> ElementTree.Element:
    element = ElementTree.Element(name)
    element.text = text
    return element


def _text(element: ElementTree.Element) -> str:
    items = element.findall(f".//{{{RDF}}}li")
    if items:
        return "|".join((item.text or "").strip() or _structure(item) for item in items)
    return "" if len(element) else (element.text or "").strip()


def _structure(item: ElementTree.Element) -> str:
    """Return the fields of a structure, such as a step of darktable's history, however they are spelt."""
    fields = {
        (name, text.strip())
        for part in item.iter()
        for name, text in (*part.attrib.items(), (part.tag, part.text or ""))
        if text.strip() and not name.startswith(f"{{{RDF}}}")
    }
    return repr(sorted(fields))


def _short(name: str) -> str:
    namespace, _, local = name[1:].partition("}")
    return f"{_NAMES[namespace]}:{local}"


def _document(
    attributes: str, elements: list[ElementTree.Element], everything: list[ElementTree.Element]
) -> str:
    used = {each.tag[1:].partition("}")[0] for parent in everything for each in parent.iter()}
    used |= {
        name[1:].partition("}")[0] for parent in everything for each in parent.iter() for name in each.attrib
    }
    declared = "".join(
        f'\n    xmlns:{prefix}="{namespace}"' for prefix, namespace in PREFIXES.items() if namespace in used
    )
    body = "".join(f"   {_xml(element)}\n" for element in elements)
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">\n'
        f' <rdf:RDF xmlns:rdf="{RDF}">\n  <rdf:Description rdf:about=""{declared}{attributes}>\n'
        f"{body}  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n"
    )


def _xml(element: ElementTree.Element) -> str:
    attributes = "".join(f" {_short(name)}={quoteattr(value)}" for name, value in element.attrib.items())
    inside = escape((element.text or "").strip()) + "".join(_xml(child) for child in element)
    return f"<{_short(element.tag)}{attributes}>{inside}</{_short(element.tag)}>"
