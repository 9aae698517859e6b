"""What is beside the picture in a PNG never keeps it from being scored."""

import io
import struct
import zlib

import pytest
from make_photos import exif_bytes, picture, still_bytes, stored_for
from PIL import Image, PngImagePlugin

from maclip_daemon.errors import Poison
from maclip_daemon.iqa.protocols import parse
from maclip_daemon.photos.decoding import Decoded, decode

AFTER_HEADER = 33  # bytes of the signature and the chunk IHDR
MEGABYTES = b"Layer moved. " * 400_000


def decoded(data: bytes) -> Decoded:
    return decode(io.BytesIO(data), "a.png", parse("native"), max_megapixels=100)


def chunk(kind: bytes, content: bytes, wrong: int = 0) -> bytes:
    checksum = zlib.crc32(kind + content) ^ wrong
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def with_chunks(data: bytes, *chunks: bytes, at_end: bool = False) -> bytes:
    at = len(data) - 12 if at_end else AFTER_HEADER
    return data[:at] + b"".join(chunks) + data[at:]


LARGE = {
    "iTXt": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(MEGABYTES)),
    "plain iTXt": chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + MEGABYTES),
    "zTXt": chunk(b"zTXt", b"History\0\0" + zlib.compress(MEGABYTES)),
    "tEXt": chunk(b"tEXt", b"parameters\0" + MEGABYTES),
    "iCCP": chunk(b"iCCP", b"huge\0\0" + zlib.compress(MEGABYTES)),
    "many": chunk(b"tEXt", b"Comment\0" + MEGABYTES[:900_000]) * 80,
    "private": chunk(b"prVt", MEGABYTES),
    "exif as text": chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(MEGABYTES)),
}


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("kind", LARGE)
def test_megabytes_of_text_do_not_matter(kind: str, at_end: bool) -> None:
    plain = still_bytes(picture(), "png")
    found = decoded(with_chunks(plain, LARGE[kind], at_end=at_end))
    assert found.image.tobytes() == picture().tobytes()
    assert found.pixel_hash == decoded(plain).pixel_hash


@pytest.mark.parametrize("kind", [b"tEXt", b"tIME", b"pHYs", b"gAMA", b"iCCP", b"eXIf", b"prVt", b"acTL"])
def test_a_wrong_checksum_beside_the_picture_does_not_matter(kind: bytes) -> None:
    odd = chunk(kind, b"Comment\0 or anything else", wrong=1)
    assert decoded(with_chunks(still_bytes(picture(), "png"), odd)).image.tobytes() == picture().tobytes()


@pytest.mark.parametrize("kind", [b"IHDR", b"IDAT", b"PLTE", b"IEND"])
def test_a_wrong_checksum_of_the_picture_is_damage(kind: bytes) -> None:
    image = picture().convert("P") if kind == b"PLTE" else picture()
    data = bytearray(still_bytes(image, "png"))
    start = data.rindex(kind)
    length = int.from_bytes(data[start - 4 : start], "big")
    data[start + 4 + length] ^= 1
    with pytest.raises(Poison, match=f"PNG data is damaged .*{kind.decode()}"):
        decoded(bytes(data))


def test_what_shows_the_picture_is_kept() -> None:
    stored = stored_for(picture(), 6)
    information = PngImagePlugin.PngInfo()
    information.add_text("Comment", "a note")
    data = still_bytes(stored, "png", exif=exif_bytes(6), pnginfo=information)
    assert decoded(data).image.tobytes() == picture().tobytes()
    interlaced = still_bytes(picture().convert("P"), "png", transparency=3)
    assert decoded(interlaced).image.size == (320, 240)


def test_the_first_picture_of_an_animation_counts() -> None:
    data = still_bytes(picture(), "png", save_all=True, append_images=[picture(seed=2)])
    assert decoded(data).image.tobytes() == picture().tobytes()


def test_an_end_that_is_missing_is_damage_and_what_follows_it_does_not_matter() -> None:
    plain = still_bytes(picture(), "png")
    assert decoded(plain + b"anything").image.tobytes() == picture().tobytes()
    with pytest.raises(Poison, match="cut off"):
        decoded(plain[:-12])


def test_apples_own_kind_of_png_is_not_called_damaged() -> None:
    plain = still_bytes(Image.new("RGB", (300, 300)), "png")
    with pytest.raises(Poison, match="not supported: it is a PNG of Apple's own kind"):
        decoded(with_chunks(plain, chunk(b"CgBI", bytes(4))))
