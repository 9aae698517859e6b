from __future__ import annotations

import pytest
from metadata_samples import MakePhoto

from maclip_daemon.errors import WriteRefused
from maclip_daemon.metadata.content import containers


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2) + content


def test_a_changed_image_byte_is_noticed_in_every_format(make_photo: MakePhoto) -> None:
    for name in ("a.jpg", "a.png", "a.webp"):
        data = make_photo(name).read_bytes()
        middle = len(data) // 2
        changed = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        assert containers.difference(data, data) == ""
        assert "changed" in containers.difference(data, changed)


def test_a_jpeg_may_gain_xmp_but_lose_no_segment(make_photo: MakePhoto) -> None:
    data = make_photo("a.jpg").read_bytes()
    xmp = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")
    colours = segment(0xE2, b"ICC_PROFILE\0\1\1profile")
    assert containers.difference(data, data[:2] + xmp + data[2:]) == ""
    assert containers.difference(data[:2] + colours + data[2:], data) == "its parts changed"


def test_the_offsets_of_further_pictures_must_stay_right(make_photo: MakePhoto) -> None:
    data = make_photo("a.jpg").read_bytes()
    index = segment(0xE2, b"MPF\0offsets")
    xmp = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")
    with_index = data[:2] + index + data[2:]
    assert containers.difference(with_index, data[:2] + xmp + index + data[2:]) == ""
    assert "further pictures" in containers.difference(with_index, data[:2] + index + xmp + data[2:])


def test_exif_may_change_only_where_a_rating_was_set_and_never_in_length(make_photo: MakePhoto) -> None:
    data = make_photo("a.jpg", tags={"Exif.Image.Artist": "Anna"}).read_bytes()
    same_length = data.replace(b"Anna", b"Otto")
    longer = make_photo("b.jpg", tags={"Exif.Image.Artist": "Anna Maria"}).read_bytes()
    assert containers.difference(data, same_length) == "its part exif changed"
    assert containers.difference(data, same_length, exif_may_differ=True) == ""
    assert containers.difference(data, longer, exif_may_differ=True) == "its part exif changed"


def test_files_that_end_too_early_are_not_embedded_into(make_photo: MakePhoto) -> None:
    for name, size in (("a.jpg", 300), ("a.png", 200), ("a.webp", 500)):
        data = make_photo(name).read_bytes()[:size]
        with pytest.raises(WriteRefused):
            containers.require_embeddable(data)


def test_other_formats_are_refused_by_their_content() -> None:
    for data in (b"", b"II*\0", b"\0\0\0\x18ftypheic"):
        with pytest.raises(WriteRefused, match="neither JPEG nor PNG nor WebP"):
            containers.kind_of(data)
