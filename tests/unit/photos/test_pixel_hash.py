"""The identity of a picture."""

import io

from make_photos import exif_bytes, picture, still_bytes
from PIL import Image

from maclip_daemon.iqa.protocols import parse
from maclip_daemon.photos.decoding import decode
from maclip_daemon.photos.pixel_hash import pixel_hash, strips


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
