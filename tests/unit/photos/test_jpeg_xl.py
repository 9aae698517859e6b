"""JPEG XL photos: naked and in a container, made new or out of a JPEG."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from make_photos import exif_bytes, picture, still_bytes, stored_for
from PIL import Image
from test_colours import ADOBE, encoded, matrix_profile

from maclip_daemon.errors import Poison
from maclip_daemon.iqa.protocols import parse
from maclip_daemon.photos.colour import encodings
from maclip_daemon.photos.containers import jxl_header
from maclip_daemon.photos.decoding import Decoded, decode


def decoded(data: bytes, *, max_megapixels: float = 100) -> Decoded:
    return decode(io.BytesIO(data), "a.jxl", parse("native"), max_megapixels=max_megapixels)


def jxl(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="JXL", **({"lossless": True} | options))
    return buffer.getvalue()


def difference(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, float) - np.asarray(other.convert("RGB"), float)).mean())


@pytest.mark.parametrize("in_container", [False, True])
def test_its_pixels_are_read(in_container: bool) -> None:
    data = jxl(picture(), use_container=in_container)
    assert data.startswith(jxl_header.CONTAINER if in_container else jxl_header.CODESTREAM)
    found = decoded(data)
    assert found.image.tobytes() == picture().tobytes()
    assert (found.photo_width, found.photo_height) == (320, 240)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_its_modes_are_read(mode: str) -> None:
    expected = picture() if mode == "RGBA" else picture().convert("L")
    assert difference(decoded(jxl(picture().convert(mode))).image, expected) < 0.5


def test_deep_grey_is_light_as_its_profile_says() -> None:
    grey = np.asarray(picture().convert("L"))
    shown = np.asarray(decoded(jxl(Image.fromarray(grey.astype(np.uint16) * 257))).image)
    expected = encodings.srgb_bytes(grey.astype(np.float32) / 255)
    assert np.abs(shown[..., 0].astype(int) - expected).mean() < 1.5


def transcoded(folder: Path, **options: Any) -> bytes:
    path = folder / "a.jpg"
    path.write_bytes(still_bytes(options.pop("image"), "jpg", **options))
    with Image.open(path) as image:
        buffer = io.BytesIO()
        image.save(buffer, format="JXL", lossless_jpeg=True)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore:Using JPEG reconstruction")
def test_one_made_of_a_jpeg_is_upright_and_in_srgb(tmp_path: Path) -> None:
    stored = stored_for(encoded(picture(), ADOBE, 563 / 256), 6)
    profile = matrix_profile(ADOBE, 563 / 256)
    found = decoded(transcoded(tmp_path, image=stored, exif=exif_bytes(6), icc_profile=profile))
    assert found.image.size == (320, 240)
    assert difference(found.image, picture()) < 4


def test_its_own_orientation_is_applied_once() -> None:
    found = decoded(jxl(stored_for(picture(), 6), exif=exif_bytes(6)))
    assert found.image.size in ((320, 240), (240, 320))


@pytest.mark.parametrize(
    "size", [(320, 240), (256, 256), (8, 8), (1000, 700), (1001, 333), (5, 3000), (1920, 1080), (640, 320)]
)
def test_the_size_is_known_from_the_header(size: tuple[int, int]) -> None:
    for in_container in (False, True):
        assert jxl_header.size(jxl(Image.new("RGB", size), use_container=in_container)) == size


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(Poison, match="megapixels"):
        decoded(jxl(Image.new("RGB", (2000, 2000))), max_megapixels=3)


@pytest.mark.parametrize("tenth", range(1, 10))
def test_one_that_is_cut_off_fails(tenth: int) -> None:
    whole = jxl(picture())
    with pytest.raises(Poison, match="JPEG XL data is"):
        decoded(whole[: len(whole) * tenth // 10])
