"""Photos with intact pixels and damaged metadata, and damaged sidecars."""

from __future__ import annotations

import random
import struct
import zlib

import pyexiv2

from tests.faults.mutated_images import mutated
from tests.faults.photo_files import exif_bytes, picture, still_bytes

PACKET = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:darktable="http://darktable.sf.net/" xmlns:lr="http://ns.adobe.com/lightroom/1.0/" xmp:Label="Red">
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">Hafen</rdf:li></rdf:Alt></dc:title>
<dc:subject><rdf:Seq><rdf:li>Boot</rdf:li><rdf:li>Kran</rdf:li></rdf:Seq></dc:subject>
<lr:hierarchicalSubject><rdf:Bag><rdf:li>Orte|Hafen</rdf:li></rdf:Bag></lr:hierarchicalSubject>
<darktable:history><rdf:Seq><rdf:li darktable:operation="exposure" darktable:params="00ff"/></rdf:Seq>
</darktable:history></rdf:Description></rdf:RDF></x:xmpmeta>"""
_LARGEST_SEGMENT = 0xFFFF - 2  # bytes; JPEG has two for the length


def photo_with_damaged_metadata(seed: int) -> tuple[str, bytes]:
    """Return (suffix, content) of a photo that decodes, with mutated XMP and EXIF."""
    chance = random.Random(seed)
    exif = exif_bytes(DateTimeOriginal="2026:05:01 10:11:12", OffsetTimeOriginal="+02:00")
    bad_exif = mutated(exif, [exif, PACKET], chance) if chance.random() < 0.7 else exif
    bad_xmp = mutated(PACKET, [PACKET, exif], chance) if chance.random() < 0.7 else PACKET
    if seed % 2:
        return "jpg", jpeg_with(
            b"Exif\0\0" + bad_exif[6:], b"http://ns.adobe.com/xap/1.0/\0" + bad_xmp, seed=seed
        )
    return "png", png_with(
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + bad_xmp),
        png_chunk(b"eXIf", bad_exif[6:]),
        seed=seed,
    )


def photo_whose_damage_exiv2_logs_and_throws(seed: int) -> bytes:
    """Return a PNG whose error pyexiv2 keeps and reports for the next photo."""
    return png_with(
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta broken"),
        png_chunk(b"iTXt", b"abc\0"),
        seed=seed,
    )


def photo_that_keeps_exiv2_busy(seed: int) -> bytes:
    """Return a PNG with 20 000 XMP properties: exiv2 takes time quadratic in their number."""
    properties = b"".join(b"<a:p%d>x</a:p%d>" % (number, number) for number in range(20_000))
    packet = (
        b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
        b"<rdf:Description xmlns:a='http://a/'>" + properties + b"</rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    return png_with(png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet), seed=seed)


def rated_by_a_person(seed: int) -> bytes:
    """Return a JPEG with a person's five stars and title; odd seeds add an impossible EXIF entry."""
    with pyexiv2.ImageData(still_bytes(picture(seed=seed), "jpg")) as image:
        image.modify_exif({"Exif.Image.Make": "Canon", "Exif.Image.Model": "Test"})
        image.modify_xmp({"Xmp.xmp.Rating": "5", "Xmp.dc.title": "mine"})
        data = bytearray(image.get_bytes())
    if seed % 2:
        count_of_first_entry = data.index(b"Exif\0\0") + 6 + 8 + 2 + 4
        data[count_of_first_entry : count_of_first_entry + 4] = b"\xff\xff\xff\x7f"
    return bytes(data)


def damaged_sidecar(seed: int) -> bytes:
    chance = random.Random(seed)
    return mutated(PACKET, [PACKET], chance)


def jpeg_with(*segments: bytes, seed: int = 1) -> bytes:
    whole = still_bytes(picture(seed=seed), "jpg")
    kept = [segment[:_LARGEST_SEGMENT] for segment in segments]
    return whole[:2] + b"".join(b"\xff\xe1" + struct.pack(">H", len(s) + 2) + s for s in kept) + whole[2:]


def png_with(*chunks: bytes, seed: int = 1) -> bytes:
    whole = still_bytes(picture(seed=seed), "png")
    at = whole.index(b"IDAT") - 4
    return whole[:at] + b"".join(chunks) + whole[at:]


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
