"""The identity of a picture: its pixels count, its metadata do not."""

import io
from pathlib import Path

import pyexiv2
import pytest
from make_photos import exif_bytes, picture, still_bytes
from PIL import Image

from maclip_daemon.iqa.protocols import parse
from maclip_daemon.photos.containers.jpeg_structure import segments
from maclip_daemon.photos.decoding import Decoded, decode
from maclip_daemon.photos.picture_identity import PREFIX, jpeg_hash, pixel_hash, strips


def decoded(data: bytes, protocol: str = "spaq448", **options: bool) -> Decoded:
    return decode(io.BytesIO(data), "a.jpg", parse(protocol), max_megapixels=100, **options)


def with_segment(data: bytes, marker: int, content: bytes) -> bytes:
    """The same JPEG with one more segment, right after its start."""
    return data[:2] + bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content + data[2:]


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_metadata_written_by_other_programs_do_not_change_it(
    tmp_path: Path, options: dict[str, object]
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(still_bytes(picture(), "jpg", **options))
    before, identity = path.read_bytes(), decoded(path.read_bytes()).pixel_hash
    with pyexiv2.Image(str(path)) as image:
        image.modify_xmp({"Xmp.xmp.Rating": "4", "Xmp.dc.subject": ["sea", "boat"]})
        image.modify_iptc({"Iptc.Application2.Keywords": ["sea"]})
        image.modify_exif({"Exif.Photo.UserComment": "charset=Ascii hello", "Exif.Image.Artist": "me"})
        image.modify_comment("a comment")
    assert path.read_bytes() != before
    assert decoded(path.read_bytes()).pixel_hash == identity


def test_neither_the_size_nor_the_way_of_decoding_changes_it() -> None:
    data = still_bytes(picture(2000, 1500), "jpg")
    hashes = {
        decoded(data, protocol, two_steps=two_steps).pixel_hash
        for protocol in ("native", "spaq448", "agiqa224", "long-edge-320")
        for two_steps in (True, False)
    }
    assert len(hashes) == 1
    assert hashes.pop().startswith(PREFIX)


def test_other_pixels_another_size_and_a_turn_change_it() -> None:
    originals = [
        still_bytes(picture(), "jpg"),
        still_bytes(picture(seed=2), "jpg"),
        still_bytes(picture(), "jpg", quality=80),
        still_bytes(picture(240, 320), "jpg"),
        still_bytes(picture().convert("L"), "jpg"),
        still_bytes(picture(), "jpg", exif=exif_bytes(6)),
        still_bytes(picture(), "jpg", exif=exif_bytes(3)),
    ]
    assert len({decoded(data).pixel_hash for data in originals}) == len(originals)


def test_a_turn_that_is_not_made_does_not_count() -> None:
    plain, turned = still_bytes(picture(), "jpg"), still_bytes(picture(), "jpg", exif=exif_bytes(6))
    hashes = {decoded(data, exif_rotation=False).pixel_hash for data in (plain, turned)}
    assert len(hashes) == 1


def test_a_segment_that_changes_how_colours_are_read_counts() -> None:
    plain = still_bytes(picture(), "jpg")
    jfif_length = 2 + 2 + int.from_bytes(plain[4:6], "big")
    bare = plain[:2] + plain[jfif_length:]
    adobe_rgb = with_segment(bare, 0xEE, b"Adobe\0\x64\0\0\0\0\0")
    adobe_ycc = with_segment(bare, 0xEE, b"Adobe\0\x64\0\0\0\0\x01")
    pictures = [Image.open(io.BytesIO(data)).convert("RGB") for data in (plain, bare, adobe_rgb, adobe_ycc)]
    hashes = [jpeg_hash(data, None) for data in (plain, bare, adobe_rgb, adobe_ycc)]
    for one in range(4):
        for other in range(4):
            same_picture = pixel_hash(pictures[one]) == pixel_hash(pictures[other])
            assert (hashes[one] == hashes[other]) == same_picture, (one, other)


def test_what_follows_the_picture_does_not_count() -> None:
    data = still_bytes(picture(), "jpg")
    second = still_bytes(picture(seed=2), "jpg")
    assert jpeg_hash(data + second + b"motion photo", 1) == jpeg_hash(data, 1)


def test_fill_bytes_before_a_marker_do_not_count() -> None:
    data = still_bytes(picture(), "jpg")
    frame = data.index(b"\xff\xc0")
    assert jpeg_hash(data[:frame] + b"\xff\xff" + data[frame:], 1) == jpeg_hash(data, 1)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_every_byte_of_a_picture_is_in_one_of_its_segments(options: dict[str, object]) -> None:
    data = still_bytes(picture(), "jpg", **options)
    lengths = sum(4 + len(segment.content) for segment in segments(data))
    assert 2 + lengths + 2 == len(data)


def test_the_former_hash_is_that_of_the_fully_decoded_upright_pixels() -> None:
    data = still_bytes(picture(2000, 1500), "jpg", exif=exif_bytes(6))
    whole = Image.open(io.BytesIO(data)).convert("RGB").transpose(Image.Transpose.ROTATE_270)
    assert decoded(data, former_hash=True).former_hash == pixel_hash(whole)
    assert decoded(data).former_hash is None


def test_other_formats_keep_the_hash_of_their_pixels() -> None:
    data = still_bytes(picture(), "png")
    result = decode(io.BytesIO(data), "a.png", parse("spaq448"), max_megapixels=100, former_hash=True)
    assert result.pixel_hash == pixel_hash(picture())
    assert result.former_hash is None


def hash_of(data: bytes, protocol: str = "native") -> str:
    return decode(io.BytesIO(data), "a.jpg", parse(protocol), max_megapixels=100).pixel_hash


def test_metadata_do_not_change_it_and_neither_does_the_protocol() -> None:
    plain = still_bytes(picture(), "jpg")
    dated = still_bytes(picture(), "jpg", exif=exif_bytes(1, DateTimeOriginal="2026:01:01 00:00:00"))
    assert plain != dated
    assert hash_of(plain) == hash_of(dated) == hash_of(plain, "spaq448")


def test_pixels_and_turning_change_it() -> None:
    plain = hash_of(still_bytes(picture(), "jpg"))
    assert hash_of(still_bytes(picture(seed=2), "jpg")) != plain
    assert hash_of(still_bytes(picture(), "jpg", exif=exif_bytes(3))) != plain


def test_the_same_pixels_in_another_shape_are_another_picture() -> None:
    assert pixel_hash(Image.new("RGB", (10, 20))) != pixel_hash(Image.new("RGB", (20, 10)))


def test_strips_put_together_are_the_image() -> None:
    image = picture(2000, 1500)
    assert b"".join(strips(image)) == image.tobytes()
    assert len(list(strips(image))) > 1
