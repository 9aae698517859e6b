"""RAW files: previews turned once, development where there is none."""

import io
from pathlib import Path

import numpy as np
import pytest
from make_photos import exif_bytes, picture, stored_for, write_dng
from PIL import Image

from maclip_daemon.errors import Poison
from maclip_daemon.iqa.protocols import parse
from maclip_daemon.photos.decoding import Decoded, decode


def decoded(path: Path, protocol: str = "native", max_megapixels: float = 100) -> Decoded:
    with path.open("rb") as file:
        return decode(file, path.name, parse(protocol), max_megapixels=max_megapixels)


def looks_like(image: Image.Image, expected: Image.Image, tolerance: float = 30) -> bool:
    """Whether two pictures show the same the same way up, whatever their size and brightness."""
    small = [
        np.asarray(each.convert("RGB").resize((16, 12)), dtype=float).mean(axis=2)
        for each in (image, expected)
    ]
    return float(np.corrcoef(small[0].ravel(), small[1].ravel())[0, 1]) > 0.9


def test_a_raw_without_preview_is_developed(tmp_path: Path) -> None:
    result = decoded(write_dng(tmp_path / "a.dng"))
    assert (result.photo_width, result.photo_height) == (640, 480)
    assert result.image.size == (640, 480)
    assert looks_like(result.image, picture(640, 480))


def test_a_dark_raw_stays_dark(tmp_path: Path) -> None:
    bright = decoded(write_dng(tmp_path / "bright.dng"))
    dark = decoded(write_dng(tmp_path / "dark.dng", brightness=0.1))
    assert np.asarray(dark.image).mean() < 0.5 * np.asarray(bright.image).mean()


def test_a_large_raw_is_developed_at_half_size_where_that_is_enough(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.dng", 2400, 1920)
    with path.open("rb") as file:
        result = decode(file, "a.dng", parse("spaq448"), max_megapixels=100)
    assert (result.photo_width, result.photo_height) == (2400, 1920)
    assert result.image.size == (448, 448)
    assert result.pixel_hash != decoded(path).pixel_hash


def test_the_embedded_preview_is_taken(tmp_path: Path) -> None:
    preview = picture(600, 450, seed=9)
    result = decoded(write_dng(tmp_path / "a.dng", preview=preview))
    assert looks_like(result.image, preview)
    assert not looks_like(result.image, picture(640, 480))
    assert result.image.size == (600, 450)
    assert (result.photo_width, result.photo_height) == (640, 480)


def test_a_preview_of_a_postage_stamps_size_is_not_taken(tmp_path: Path) -> None:
    result = decoded(write_dng(tmp_path / "a.dng", preview=picture(160, 120, seed=9)))
    assert looks_like(result.image, picture(640, 480))


def test_a_preview_far_below_the_protocols_size_is_not_taken(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.dng", 1600, 1200, preview=picture(640, 480, seed=9))
    assert looks_like(decoded(path, "spaq448").image, picture(640, 480, seed=9))
    assert looks_like(decoded(path, "native").image, picture(1600, 1200))


def test_a_preview_below_the_protocols_size_gives_way_to_a_development_at_half_size(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.dng", 3200, 2400, preview=picture(900, 675, seed=9))
    for protocol, size in (("long-edge-900", (900, 675)), ("long-edge-1024", (1024, 768))):
        judged = decoded(path, protocol).image
        assert judged.size == size
        preview_is_enough = protocol == "long-edge-900"
        assert looks_like(judged, picture(*size, seed=9)) == preview_is_enough
        assert looks_like(judged, picture(*size)) != preview_is_enough


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_developed_raw_is_upright(tmp_path: Path, orientation: int) -> None:
    path = write_dng(tmp_path / "a.dng", orientation=orientation)
    result = decoded(path)
    stored = picture(640, 480)
    expected = {1: stored, 3: stored.rotate(180), 6: stored.rotate(-90, expand=True)}.get(
        orientation, stored.rotate(90, expand=True)
    )
    assert (result.photo_width, result.photo_height) == expected.size
    assert result.image.size == expected.size
    assert looks_like(result.image, expected)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("noted_in_preview", [False, True])
def test_a_preview_stored_as_the_sensor_saw_it_is_turned_once(
    tmp_path: Path, orientation: int, noted_in_preview: bool
) -> None:
    upright = picture(600, 450, seed=9) if orientation in (1, 3) else picture(450, 600, seed=9)
    path = write_dng(
        tmp_path / "a.dng",
        preview=stored_for(upright, orientation),
        preview_exif=exif_bytes(orientation) if noted_in_preview else b"",
        orientation=orientation,
    )
    result = decoded(path)
    assert result.image.size == upright.size
    assert looks_like(result.image, upright)


@pytest.mark.parametrize("preview_exif", [b"", exif_bytes(1)])
def test_a_preview_that_the_camera_turned_itself_is_not_turned_again(
    tmp_path: Path, preview_exif: bytes
) -> None:
    upright = picture(450, 600, seed=9)
    path = write_dng(tmp_path / "a.dng", preview=upright, preview_exif=preview_exif, orientation=6)
    result = decoded(path)
    assert result.image.size == (450, 600)
    assert looks_like(result.image, upright)


def test_a_raw_above_the_limit_is_refused_from_its_header(tmp_path: Path) -> None:
    with pytest.raises(Poison, match="megapixels"):
        decoded(write_dng(tmp_path / "a.dng"), max_megapixels=0.3)


@pytest.mark.parametrize("tenth", range(10))
@pytest.mark.parametrize("with_preview", [False, True])
def test_a_raw_that_is_cut_off_fails_even_when_its_preview_is_whole(
    tmp_path: Path, tenth: int, with_preview: bool
) -> None:
    path = write_dng(tmp_path / "a.dng", preview=picture(600, 450) if with_preview else None)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * tenth // 10])
    with pytest.raises(Poison):
        decoded(path)


def test_a_damaged_preview_gives_way_to_the_sensor_data(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.dng", preview=picture(600, 450, seed=9))
    data = bytearray(path.read_bytes())
    start = data.index(b"\xff\xda") + 200
    data[start : start + 4] = b"\xff\x9f\xff\x9f"
    path.write_bytes(data)
    assert looks_like(decoded(path).image, picture(640, 480))


def test_a_dng_named_tif_is_not_judged_by_its_thumbnail(tmp_path: Path) -> None:
    data = write_dng(tmp_path / "a.dng", preview=picture(160, 120)).read_bytes()
    found = decode(io.BytesIO(data), "a.tif", parse("native"), max_megapixels=100)
    assert (found.photo_width, found.photo_height) == (640, 480)


def test_a_raw_other_than_dng_is_cut_off_when_its_sensor_data_are(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.nef", preview=picture(600, 450, seed=9), version_tag=False)
    assert looks_like(decoded(path).image, picture(600, 450, seed=9))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(Poison, match="RAW data is damaged or cut off"):
        decoded(path)
