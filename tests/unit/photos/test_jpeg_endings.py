"""A JPEG without a proper end is whole when every coded block is there, and damaged when one is missing."""

import io

import numpy as np
import pytest
from make_photos import picture, still_bytes
from PIL import Image

from maclip_daemon.errors import Poison
from maclip_daemon.iqa.protocols import parse
from maclip_daemon.photos.decoding import Decoded, decode

CODINGS: list[dict[str, object]] = [
    {},
    {"progressive": True},
    {"optimize": True},
    {"subsampling": 0},
    {"restart_marker_rows": 1},
    {"restart_marker_blocks": 3},
    {"progressive": True, "restart_marker_rows": 2},
    {"quality": 30},
]
END = b"\xff\xd9"
NOISE = np.random.default_rng(5).integers(0, 255, 900, dtype=np.uint8).tobytes().replace(b"\xff", b"\1")


def decoded(data: bytes) -> Decoded:
    return decode(io.BytesIO(data), "a.jpg", parse("native"), max_megapixels=100)


def detailed(seed: int = 1, mode: str = "RGB") -> Image.Image:
    noise = np.random.default_rng(seed).integers(-30, 30, (231, 317, 3))
    return Image.fromarray(
        np.clip(np.asarray(picture(317, 231, seed), int) + noise, 0, 255).astype(np.uint8)
    ).convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", CODINGS)
def test_a_missing_end_marker_is_no_damage(options: dict[str, object], mode: str) -> None:
    whole = still_bytes(detailed(mode=mode), "jpg", **options)
    expected = decoded(whole)
    for ending in (b"", b"\xff", bytes(20), bytes(3000), bytes(1024) + END, b"\xff" * 4):
        found = decoded(whole[:-2] + ending)
        assert found.image.tobytes() == expected.image.tobytes(), ending
        if END not in ending:
            assert found.pixel_hash == expected.pixel_hash, ending


@pytest.mark.parametrize("options", CODINGS)
def test_a_trailer_in_place_of_the_end_marker_is_no_damage(options: dict[str, object]) -> None:
    whole = still_bytes(detailed(), "jpg", **options)
    for trailer in (b"SEFHe\0\0\0\1\0\0\0SEFT", NOISE + b"\xff\x3a" + NOISE):
        assert decoded(whole[:-2] + trailer).image.tobytes() == decoded(whole).image.tobytes()


@pytest.mark.parametrize("missing", [3, 4, 5, 6, 8, 10, 20, 100, 1000])
@pytest.mark.parametrize("options", CODINGS)
def test_a_missing_block_is_damage(options: dict[str, object], missing: int) -> None:
    for seed in range(3):
        whole = still_bytes(detailed(seed), "jpg", **options)
        with pytest.raises(Poison, match="JPEG is damaged"):
            decoded(whole[:-missing])


@pytest.mark.parametrize("options", [options for options in CODINGS if "progressive" not in options])
def test_zeros_in_place_of_blocks_are_damage(options: dict[str, object]) -> None:
    whole = still_bytes(detailed(), "jpg", **options)
    for ending in (bytes(3000), bytes(3000) + END):
        with pytest.raises(Poison, match="JPEG is damaged"):
            decoded(whole[:-300] + ending)


@pytest.mark.parametrize("colour", ["black", "white", "grey"])
def test_a_flat_picture_without_an_end_marker_is_whole(colour: str) -> None:
    for options in CODINGS:
        whole = still_bytes(Image.new("RGB", (800, 600), colour), "jpg", **options)
        assert decoded(whole[:-2]).image.getpixel((799, 599)) == decoded(whole).image.getpixel((0, 0))


def test_a_progressive_jpeg_without_its_last_scan_is_cut_off() -> None:
    whole = still_bytes(detailed(), "jpg", progressive=True)
    last_scan = whole.rindex(b"\xff\xda")
    for cut in (last_scan, whole.rindex(b"\xff\xda", 0, last_scan)):
        with pytest.raises(Poison, match="cut off"):
            decoded(whole[:cut])


def test_a_jpeg_without_its_last_restart_interval_is_cut_off() -> None:
    whole = still_bytes(detailed(), "jpg", restart_marker_rows=1)
    last = max(whole.rindex(bytes((0xFF, 0xD0 + number))) for number in range(8))
    with pytest.raises(Poison, match="JPEG is damaged"):
        decoded(whole[:last])


def test_a_bomb_without_an_end_is_refused_by_its_size() -> None:
    whole = still_bytes(Image.new("RGB", (2000, 2000)), "jpg")
    with pytest.raises(Poison, match="megapixels"):
        decode(io.BytesIO(whole[:-2]), "a.jpg", parse("native"), max_megapixels=3)
