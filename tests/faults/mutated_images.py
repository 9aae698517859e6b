"""Photos of every format with all kinds of metadata, and mutations as bad disks or attackers cause them.

Everything follows from a seed. Real photos join the generated ones when they are beside the checkout.
"""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import pyexiv2

from tests.faults.photo_files import exif_bytes, picture, still_bytes, write_dng

REAL_PHOTOS = Path(__file__).parents[2] / "../shared/data/photos"
LARGEST_REAL = 1 << 20  # bytes; mutating larger ones only takes longer
SUFFIXES = ("jpg", "png", "tif", "webp", "heic", "avif", "dng")

XMP = {
    "Xmp.dc.title": "Hafen & Meer",
    "Xmp.dc.subject": ["Boot", "Kran"],
    "Xmp.xmp.Label": "Red",
    "Xmp.lr.hierarchicalSubject": ["Orte|Hafen"],
}
IPTC = {"Iptc.Application2.Caption": "Ein Kran", "Iptc.Application2.Keywords": ["Boot"]}
EXIF = {
    "Exif.Image.Make": "Canon",
    "Exif.Image.Model": "Test",
    "Exif.Photo.UserComment": "charset=Ascii hello",
    "Exif.GPSInfo.GPSLatitude": "48/1 8/1 0/1",
    "Exif.Photo.DateTimeOriginal": "2026:05:01 10:11:12",
}

# Bytes that readers act on: markers, boxes, chunks, extreme lengths, formats inside formats.
DICTIONARY = (
    *(b"\xff\xd8\xff", b"\xff\xd9", b"\xff\xda", b"\xff\xc2", b"\xff\xc4", b"\xff\xdd\0\4\0\1", b"\xff\xd0"),
    *(b"\xff\xe1\xff\xff", b"\xff\xe2\0\x10ICC_PROFILE\0", b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"),
    *(b"IHDR", b"IDAT", b"IEND", b"PLTE", b"iCCP", b"zTXt", b"iTXtXML:com.adobe.xmp\0", b"eXIf", b"acTL"),
    *(b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"II+\0", b"\x01\x01\x04\0", b"\x11\x01\x04\0\xff\xff\xff\x7f"),
    *(b"\x4a\x01\x04\0\x01\0\0\0\x08\0\0\0", b"RIFF", b"VP8X", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"XMP "),
    *(
        b"ftypheic",
        b"ftypavif",
        b"meta",
        b"iloc",
        b"iinf",
        b"iprp",
        b"ispe",
        b"grid",
        b"iref",
        b"mdat",
        b"free",
    ),
    *(b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0", b"\0\0\0\1"),
    *(b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'b'>]>", b"<rdf:li>", b"</x:xmpmeta>", b"%n%s%99999d"),
    *(b"\0" * 64, b"\xff" * 64, b"\0" * 4096),
)


def whole_photos() -> dict[str, list[bytes]]:
    """Return photos of every format by suffix: generated ones, and real ones if present."""
    made = {
        "jpg": [still_bytes(picture(), "jpg"), still_bytes(picture(seed=2), "jpg", progressive=True)],
        "png": [still_bytes(picture(), "png"), still_bytes(picture(seed=3).convert("P"), "png")],
        "tif": [
            still_bytes(picture(), "tif", compression=compression)
            for compression in ("tiff_lzw", "tiff_deflate", "jpeg", "packbits", None)
        ],
        "webp": [still_bytes(picture(), "webp"), still_bytes(picture(seed=4), "webp", lossless=False)],
        "heic": [still_bytes(picture(), "heic", exif=exif_bytes(6))],
        "avif": [still_bytes(picture(), "avif", exif=exif_bytes(6))],
        "dng": [_dng(), _dng(preview=picture(160, 120)), _dng(preview=picture(600, 450), orientation=6)],
    }
    for suffix in ("jpg", "png", "tif", "webp"):
        made[suffix] = [_with_metadata(data) for data in made[suffix]]
    for suffix, photos in _real_photos().items():
        made[suffix] += photos
    return made


def mutated(whole: bytes, donors: Sequence[bytes], chance: random.Random) -> bytes:
    """Return a photo with one or more kinds of damage; `donors` supply pieces."""
    data = whole
    for _ in range(chance.choice((1, 1, 2, 4))):
        damage = chance.choice(DAMAGES)
        data = damage(data, chance.choice(donors), chance)
        if len(data) < 16:
            break
    return data or b"\xff"  # an empty file would wait for its content


def flip_bits(data: bytes, _donor: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 8, 64))):
        changed[_somewhere(data, chance)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut_off(data: bytes, _donor: bytes, chance: random.Random) -> bytes:
    return data[: _somewhere(data, chance)]


def splice(data: bytes, donor: bytes, chance: random.Random) -> bytes:
    """Insert a piece of another photo, or overwrite with it."""
    start = _somewhere(donor, chance)
    piece = donor[start : start + chance.choice((16, 256, 4096, len(donor)))]
    at = _somewhere(data, chance)
    return data[:at] + piece + data[at + chance.choice((0, len(piece))) :]


def swap_lengths(data: bytes, _donor: bytes, chance: random.Random) -> bytes:
    """Swap two numbers of the same width: lengths, offsets, sizes."""
    width = chance.choice((2, 4))
    first, second = sorted(_somewhere(data, chance) & ~1 for _ in range(2))
    if second - first < width or second + width > len(data):
        return data
    one, other = data[first : first + width], data[second : second + width]
    return data[:first] + other + data[first + width : second] + one + data[second + width :]


def set_number(data: bytes, _donor: bytes, chance: random.Random) -> bytes:
    at = _somewhere(data, chance)
    order = chance.choice("<>")
    value = chance.choice((0, 1, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(data)))
    number = (
        struct.pack(f"{order}I", value) if chance.randrange(2) else struct.pack(f"{order}H", value & 0xFFFF)
    )
    return data[:at] + number + data[at + len(number) :]


def insert_word(data: bytes, _donor: bytes, chance: random.Random) -> bytes:
    at = _somewhere(data, chance)
    word = chance.choice(DICTIONARY)
    return data[:at] + word + data[at + chance.choice((0, len(word))) :]


def leave_out(data: bytes, _donor: bytes, chance: random.Random) -> bytes:
    at = _somewhere(data, chance)
    return data[:at] + data[at + chance.choice((1, 4, 64, 4096)) :]


def repeat(data: bytes, _donor: bytes, chance: random.Random) -> bytes:
    at = _somewhere(data, chance)
    piece = data[at : at + chance.choice((12, 256, 4096))]
    return data[:at] + piece * chance.choice((2, 50)) + data[at + len(piece) :]


DAMAGES: tuple[Callable[[bytes, bytes, random.Random], bytes], ...] = (
    *(flip_bits, cut_off, splice, swap_lengths, set_number, insert_word, leave_out, repeat),
)


def _somewhere(data: bytes, chance: random.Random) -> int:
    """Return an offset, mostly near the front, where the structure is."""
    return chance.randrange(min(len(data), chance.choice((64, 1024, 8192, len(data)))))


def _with_metadata(data: bytes) -> bytes:
    with pyexiv2.ImageData(data) as image:
        for write, values in ((image.modify_exif, EXIF), (image.modify_iptc, IPTC), (image.modify_xmp, XMP)):
            write(values)
        return bytes(image.get_bytes())


def _dng(**options: object) -> bytes:
    buffer = io.BytesIO()

    class InMemory:  # write_dng needs an object with write_bytes
        write_bytes = staticmethod(buffer.write)

    write_dng(InMemory(), 320, 240, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def _real_photos() -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {suffix: [] for suffix in SUFFIXES}
    if REAL_PHOTOS.is_dir():
        for path in sorted(REAL_PHOTOS.resolve().rglob("*")):
            suffix = path.suffix.lower().removeprefix(".")
            if path.parent.name != "broken" and suffix in found and path.stat().st_size <= LARGEST_REAL:
                found[suffix].append(path.read_bytes())
    return found
