"""Large photos are reduced in two steps: never too far in the first, and only where it was asked for."""

import io
from pathlib import Path

import numpy as np
import pyexiv2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_photos import exif_bytes, picture, still_bytes, stored_for, write_dng
from PIL import Image, ImageFilter

from maclip_daemon.errors import Poison
from maclip_daemon.iqa.protocols import parse
from maclip_daemon.photos.decoding import Decoded, decode
from maclip_daemon.photos.stills import decode_still

PROTOCOLS = ("native", "spaq448", "agiqa224", "long-edge-544", "long-edge-1024")
LARGE = (3000, 2000)


def textured(width: int, height: int) -> Image.Image:
    """A picture with detail in every pixel."""
    noise = np.random.default_rng(3).normal(0, 12, (height, width, 1))
    return Image.fromarray(np.clip(np.asarray(picture(width, height)) + noise, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def large_jpeg() -> bytes:
    return still_bytes(textured(*LARGE), "jpg")


def decoded(data: bytes, name: str, protocol: str, **options: bool) -> Decoded:
    return decode(io.BytesIO(data), name, parse(protocol), max_megapixels=100, **options)


def authors_way(data: bytes, protocol: str) -> Image.Image:
    image = Image.open(io.BytesIO(data)).convert("RGB")
    target = parse(protocol).target_size(*image.size)
    return image if target == image.size else image.resize(target, Image.Resampling.BICUBIC)


def difference(one: Image.Image, other: Image.Image) -> float:
    assert one.size == other.size
    return float(np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).mean())


@settings(deadline=None, max_examples=200)
@given(
    width=st.integers(300, 9000),
    height=st.integers(300, 9000),
    name=st.sampled_from(PROTOCOLS),
)
def test_what_is_enough_is_twice_the_target_on_both_sides_or_the_whole_photo(
    width: int, height: int, name: str
) -> None:
    protocol = parse(name)
    target, enough = protocol.target_size(width, height), protocol.smallest_decoded_size(width, height)
    for least, wanted, whole in zip(enough, target, (width, height), strict=True):
        assert least == min(whole, 2 * wanted)


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize(
    "size", [(3000, 2000), (2000, 3000), (1791, 1800), (1792, 1792), (4200, 900), (640, 480)]
)
def test_a_jpeg_is_decoded_at_a_fraction_that_is_never_below_what_is_enough(
    name: str, size: tuple[int, int]
) -> None:
    protocol = parse(name)
    data = still_bytes(Image.new("RGB", size, "gray"), "jpg")
    still = decode_still(io.BytesIO(data), 100, protocol.smallest_decoded_size)
    assert (still.width, still.height) == size
    fraction = round(size[0] / still.image.width)
    assert fraction in (1, 2, 4, 8)
    for have, least in zip(still.image.size, protocol.smallest_decoded_size(*size), strict=True):
        assert have >= least
    if fraction < 8:  # the next smaller one would have been too small
        twice = [side // (2 * fraction) for side in size]
        assert any(
            have < least for have, least in zip(twice, protocol.smallest_decoded_size(*size), strict=True)
        )


@pytest.mark.parametrize("name", ["spaq448", "agiqa224", "long-edge-544"])
def test_the_result_is_close_to_the_authors_way_and_switched_off_it_is_theirs(
    large_jpeg: bytes, name: str
) -> None:
    theirs = authors_way(large_jpeg, name)
    quick = decoded(large_jpeg, "a.jpg", name)
    assert 0 < difference(quick.image, theirs) < 1
    assert (quick.photo_width, quick.photo_height) == LARGE
    assert difference(decoded(large_jpeg, "a.jpg", name, two_steps=False).image, theirs) == 0


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_other_formats_are_close_too_and_switched_off_exact(suffix: str) -> None:
    data = still_bytes(textured(1800, 1200), suffix, **({"method": 0} if suffix == "webp" else {}))
    theirs = authors_way(data, "agiqa224")
    assert 0 < difference(decoded(data, f"a.{suffix}", "agiqa224").image, theirs) < 1
    assert difference(decoded(data, f"a.{suffix}", "agiqa224", two_steps=False).image, theirs) == 0


@pytest.mark.parametrize(
    ("size", "protocol"), [(LARGE, "native"), ((800, 600), "spaq448"), ((1000, 700), "long-edge-544")]
)
def test_native_photos_and_small_ones_are_judged_exactly_as_by_the_authors(
    size: tuple[int, int], protocol: str
) -> None:
    data = still_bytes(textured(*size), "jpg")
    assert difference(decoded(data, "a.jpg", protocol).image, authors_way(data, protocol)) == 0


def test_the_thumbnail_in_the_metadata_is_never_used() -> None:
    thumbnail = still_bytes(Image.new("RGB", (160, 120), "red"), "jpg")
    with pyexiv2.ImageData(still_bytes(Image.new("RGB", (2400, 1600), "blue"), "jpg")) as image:
        image.modify_exif({"Exif.Image.Artist": "me"})
        image.modify_thumbnail(thumbnail)
        data = image.get_bytes()
    assert thumbnail in data
    for protocol in PROTOCOLS:
        red, _, blue = np.asarray(decoded(data, "a.jpg", protocol).image).reshape(-1, 3).mean(0)
        assert red < 10 < 240 < blue


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_is_turned_after_the_first_step(orientation: int) -> None:
    upright = picture(2000, 1200)
    data = still_bytes(stored_for(upright, orientation), "jpg", exif=exif_bytes(orientation))
    result = decoded(data, "a.jpg", "long-edge-320")
    assert (result.photo_width, result.photo_height) == (2000, 1200)
    assert difference(result.image, parse("long-edge-320").resize(upright)) < 3


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_printed_colours_are_reduced_too(mode: str) -> None:
    data = still_bytes(textured(*LARGE).convert(mode), "jpg")
    assert difference(decoded(data, "a.jpg", "spaq448").image, authors_way(data, "spaq448")) < 1


def test_a_picture_of_several_pictures_gives_its_first() -> None:
    buffer = io.BytesIO()
    first, second = textured(*LARGE), Image.new("RGB", LARGE, "black")
    first.save(buffer, "MPO", save_all=True, append_images=[second], quality=92)
    data = buffer.getvalue()
    assert Image.open(io.BytesIO(data)).format == "MPO"
    assert difference(decoded(data, "a.jpg", "spaq448").image, authors_way(data, "spaq448")) < 1


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_large_photo_that_is_cut_off_fails_although_less_of_it_is_decoded(
    kept: float, progressive: bool
) -> None:
    whole = still_bytes(textured(*LARGE), "jpg", progressive=progressive)
    for protocol in ("spaq448", "agiqa224"):
        with pytest.raises(Poison, match="cut off"):
            decoded(whole[: int(len(whole) * kept)], "a.jpg", protocol)


def test_a_large_photo_with_a_lost_piece_or_a_hole_fails(large_jpeg: bytes) -> None:
    holed = bytearray(large_jpeg)
    holed[len(holed) // 2 : len(holed) // 2 + 4096] = bytes(4096)
    with pytest.raises(Poison, match="hole of zeros"):
        decoded(bytes(holed), "a.jpg", "spaq448")
    marked = still_bytes(textured(*LARGE), "jpg", restart_marker_rows=2)
    start = marked.index(b"\xff\xd2")
    with pytest.raises(Poison, match="a piece is missing"):
        decoded(marked[:start] + marked[marked.index(b"\xff\xd4") :], "a.jpg", "spaq448")


def test_the_limit_of_pixels_is_that_of_the_photo_not_of_what_is_decoded(large_jpeg: bytes) -> None:
    with pytest.raises(Poison, match="3000×2000 pixels are more than 5 megapixels"):
        decode(io.BytesIO(large_jpeg), "a.jpg", parse("agiqa224"), max_megapixels=5)


def test_the_preview_of_a_raw_is_reduced_while_it_is_decoded(tmp_path: Path) -> None:
    preview = textured(*LARGE)
    data = write_dng(tmp_path / "a.dng", 3200, 2400, preview=preview).read_bytes()
    still = decode_still(io.BytesIO(still_bytes(preview, "jpg")), 100, parse("spaq448").smallest_decoded_size)
    assert still.image.size == (1500, 1000)
    quick = decoded(data, "a.dng", "spaq448", former_hash=True)
    exact = decoded(data, "a.dng", "spaq448", two_steps=False, former_hash=True)
    assert (quick.photo_width, quick.photo_height) == (3200, 2400)
    assert 0 < difference(quick.image, exact.image) < 1
    assert quick.pixel_hash == exact.pixel_hash != quick.former_hash == exact.former_hash


def test_fine_stripes_leave_no_pattern_behind() -> None:
    """Stripes of one pixel are grey from afar; a first step that only picked pixels would show bands."""
    stripes = np.zeros((2400, 3600, 3), np.uint8)
    stripes[:, ::2] = 255
    data = still_bytes(Image.fromarray(stripes).filter(ImageFilter.BoxBlur(0)), "jpg", quality=98)
    pixels = np.asarray(decoded(data, "a.jpg", "spaq448").image, np.float64)
    assert pixels.std() < 3
