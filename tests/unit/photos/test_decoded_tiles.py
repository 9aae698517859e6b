"""One decoding delivers the small picture and the tiles."""

import io
from pathlib import Path

import numpy as np
import pytest
from make_photos import exif_bytes, picture, still_bytes, stored_for, write_dng
from PIL import ExifTags, Image

from maclip_daemon.iqa.protocols import parse
from maclip_daemon.iqa.tile_cutting import stacked
from maclip_daemon.iqa.tile_grid import tile_grid
from maclip_daemon.photos import stills
from maclip_daemon.photos.decoding import Decoded, decode

SIZE = (2208, 1472)  # half of it is just twice the small picture


def textured(width: int, height: int) -> Image.Image:
    noise = np.random.default_rng(3).normal(0, 8, (height // 2, width // 2, 1)).repeat(2, 0).repeat(2, 1)
    return Image.fromarray(np.clip(np.asarray(picture(width, height)) + noise, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return textured(*SIZE)


def decoded(data: bytes, name: str, protocol: str = "detail-8", **options: bool) -> Decoded:
    return decode(io.BytesIO(data), name, parse(protocol), max_megapixels=100, **options)


def expected_tiles(photo: Image.Image) -> np.ndarray:
    grid = tile_grid(*photo.size, 8)
    assert grid is not None
    half = np.asarray(photo.reduce(2))
    cells = [half[box.y : box.y + 224, box.x : box.x + 224] for box in grid.boxes]
    return np.stack(  # right of the middle mirrored
        [
            cell[:, ::-1] if box.x + 112 > grid.width / 2 else cell
            for cell, box in zip(cells, grid.boxes, strict=True)
        ]
    )


def mean_difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other).mean())


@pytest.mark.parametrize("suffix", ["jpg", "png", "heic"])
def test_every_format_has_the_same_tiles(suffix: str, photo: Image.Image) -> None:
    result = decoded(still_bytes(photo, suffix), f"a.{suffix}")
    assert result.tiles is not None
    assert result.image.size == (544, 363)
    assert mean_difference(stacked(result.tiles), expected_tiles(photo)) < 5


def test_a_jpeg_is_decoded_once_and_at_half_its_size(
    photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[int, int]] = []
    read = stills.decode_still

    def noted(*arguments: object, **options: object) -> stills.Still:
        still = read(*arguments, **options)
        sizes.append(still.image.size)
        return still

    monkeypatch.setattr("maclip_daemon.photos.decoding.decode_still", noted)
    decoded(still_bytes(photo, "jpg"), "a.jpg")
    assert sizes == [(1104, 736)]


@pytest.mark.parametrize("two_steps", [True, False])
def test_tiles_do_not_depend_on_how_other_protocols_reduce(two_steps: bool, photo: Image.Image) -> None:
    data = still_bytes(photo, "jpg")
    one, other = decoded(data, "a.jpg", two_steps=two_steps), decoded(data, "a.jpg")
    assert one.tiles is not None
    assert other.tiles is not None
    assert np.array_equal(one.tiles, other.tiles)
    assert np.array_equal(one.image, other.image)


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_tiles_are_upright(suffix: str, orientation: int, photo: Image.Image) -> None:
    plain = decoded(still_bytes(photo, suffix), f"a.{suffix}").tiles
    stored = stored_for(photo, orientation)
    turned = decoded(still_bytes(stored, suffix, exif=exif_bytes(orientation)), f"a.{suffix}").tiles
    assert plain is not None
    assert turned is not None
    assert mean_difference(stacked(turned), stacked(plain)) < (3 if suffix == "jpg" else 0.1)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_tiles_are_in_srgb(suffix: str, photo: Image.Image) -> None:
    exif = Image.Exif()  # Adobe RGB, as cameras say it (DCF 2.0)
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ColorSpace] = 0xFFFF
    exif.get_ifd(ExifTags.IFD.Exif)[0xA005] = {1: "R03"}
    wide = decoded(still_bytes(photo, suffix, exif=exif.tobytes()), f"a.{suffix}")
    plain = decoded(still_bytes(photo, suffix), f"a.{suffix}")
    assert wide.tiles is not None
    assert plain.tiles is not None
    shift = mean_difference(np.asarray(wide.image), np.asarray(plain.image))
    assert shift > 2, "the colours are converted"
    assert mean_difference(stacked(wide.tiles), stacked(plain.tiles)) == pytest.approx(shift, rel=0.5)


def test_a_small_photo_has_no_tiles(photo: Image.Image) -> None:
    assert decoded(still_bytes(photo.resize((800, 533)), "jpg"), "a.jpg").tiles is None
    assert decoded(still_bytes(photo, "jpg"), "a.jpg", "long-edge-544").tiles is None


def of_raw(path: Path, protocol: str = "detail-8") -> Decoded:
    with path.open("rb") as file:
        return decode(file, path.name, parse(protocol), max_megapixels=100)


def likeness(strip: Image.Image | None, photo: Image.Image) -> float:
    """Return the correlation of the tiles with those of a photo, whatever their brightness."""
    assert strip is not None
    found, wanted = (
        np.stack([tile[::16, ::16] for tile in tiles]).astype(float).mean(-1).ravel()
        for tiles in (stacked(strip), expected_tiles(photo))
    )
    return float(np.corrcoef(found, wanted)[0, 1])


@pytest.mark.parametrize("size", [(2170, 1447), (1104, 736)])
def test_a_raw_with_a_large_preview_shows_that_at_half_the_raws_size(
    size: tuple[int, int], tmp_path: Path
) -> None:
    # Previews are a little smaller than the sensor; one of half its size is not halved again.
    result = of_raw(write_dng(tmp_path / "a.dng", *SIZE, preview=picture(*size, seed=9)))
    assert likeness(result.tiles, picture(*SIZE, seed=9)) > 0.9


def test_a_raw_whose_preview_is_too_small_for_tiles_is_developed_and_keeps_its_identity(
    tmp_path: Path,
) -> None:
    path = write_dng(tmp_path / "a.dng", *SIZE, preview=picture(700, 467, seed=9))
    result = of_raw(path)
    assert likeness(result.tiles, picture(*SIZE)) > 0.8
    assert likeness(result.tiles, picture(*SIZE, seed=9)) < 0.4
    before = of_raw(path, "spaq448")
    assert before.tiles is None
    assert result.pixel_hash == before.pixel_hash
