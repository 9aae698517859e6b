"""Borders of JPEG's blocks in tiles: found where a photo was really compressed, and nowhere else."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from maclip_daemon.iqa import luma_steps, protocols
from maclip_daemon.iqa.luma_steps import CLEAN_TILES, MOST_BLOCKS, border_excess, tile_blocks
from maclip_daemon.iqa.tile_cutting import cut_tiles, stacked

Pixels = NDArray[np.uint8]
SIZE = (1920, 1280)


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    """Return shapes with soft and with hard edges, and grain of two grey levels."""
    generator = np.random.default_rng(0)
    shapes = Image.fromarray(generator.integers(40, 215, (9, 13, 3), dtype=np.uint8))
    pixels = np.array(shapes.resize(SIZE, Image.Resampling.BICUBIC))
    for _ in range(60):
        top, left, height, width = generator.integers((0, 0, 20, 20), (1200, 1800, 300, 300))
        pixels[top : top + height, left : left + width] = generator.integers(30, 220, 3)
    noise = generator.normal(0, 2, (*pixels.shape[:2], 1))
    return Image.fromarray(np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8))


def stored(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def tiles_of(file: Image.Image) -> Pixels:
    """Return the tiles as the program has them: of a JPEG that was decoded at half its size."""
    grid = protocols.parse("detail-8").tile_grid(*file.size)
    assert grid is not None
    file.draft("RGB", (file.width // 2, file.height // 2))
    tiles = cut_tiles(file.convert("RGB"), grid)
    assert tiles is not None
    return stacked(tiles)


def test_blocks_grow_with_compression_and_are_none_in_a_well_stored_photo(photo: Image.Image) -> None:
    found = [tile_blocks(tiles_of(stored(photo, quality))) for quality in (95, 45, 20, 7)]
    assert found[0] < 2
    assert found == sorted(set(found))
    assert found[-1] > 30


def test_blocks_are_found_in_a_photo_that_was_stored_well_afterwards(photo: Image.Image) -> None:
    again = stored(stored(photo, 10), 95)
    assert tile_blocks(tiles_of(again)) > 15


def test_edges_at_the_distance_of_blocks_are_none(photo: Image.Image) -> None:
    generator = np.random.default_rng(1)
    roof = np.array(photo).astype(np.int16)
    roof[:, np.arange(SIZE[0]) // 8 % 2 == 1] += 50
    roof += generator.integers(-40, 40, (*roof.shape[:2], 1))  # shingles: hard edges, and nothing calm beside
    file = stored(Image.fromarray(np.clip(roof, 0, 255).astype(np.uint8)), 95)
    assert tile_blocks(tiles_of(file)) < 1
    fence = np.array(photo)
    fence[:, 3::16] = 255 - fence[:, 3::16]
    assert tile_blocks(tiles_of(stored(Image.fromarray(fence), 95))) < 2


@pytest.mark.parametrize("size", [(896, 600), (900, 600), (912, 608), (1024, 683), (1500, 1000)])
def test_tiles_of_a_small_photo_have_hardly_any_because_they_are_not_at_half_size(
    photo: Image.Image, size: tuple[int, int]
) -> None:
    small = photo.resize(size, Image.Resampling.LANCZOS)
    for quality in (75, 50, 20, 10):
        file = stored(small, quality)
        grid = protocols.parse("detail-8").tile_grid(*size)
        assert grid is not None
        tiles = cut_tiles(file.convert("RGB"), grid)
        assert tiles is not None
        assert tile_blocks(stacked(tiles)) < 8


def test_mirrored_tiles_have_the_same_blocks(photo: Image.Image) -> None:
    tiles = tiles_of(stored(photo, 10))
    assert tile_blocks(tiles[:, :, ::-1].copy()) == pytest.approx(tile_blocks(tiles), rel=0.1)


def test_the_measure_is_the_mean_beyond_what_is_clean_and_bounded(photo: Image.Image) -> None:
    tiles = tiles_of(stored(photo, 30))
    luma = [np.asarray(Image.fromarray(tile).convert("L")) for tile in tiles]
    weaker = []
    for each in luma:
        sides = [luma_steps._by_phase(side, 8) for side in (each, each.T)]
        borders = [np.minimum(by_phase[:4], by_phase[4:]) for by_phase in sides]
        weaker.append(min(luma_steps._standing_out(by_phase) for by_phase in borders))
    assert tile_blocks(tiles) == pytest.approx(np.mean(weaker) - CLEAN_TILES)
    ramp = np.repeat(np.arange(56, dtype=np.uint8) * 4, 4)  # steps at borders alone
    staircase = np.broadcast_to(np.add.outer(ramp // 2, ramp // 2)[..., None], (1, 224, 224, 3))
    assert tile_blocks(np.ascontiguousarray(staircase)) == MOST_BLOCKS


def test_a_grey_tile_has_none() -> None:
    assert tile_blocks(np.full((8, 224, 224, 3), 128, np.uint8)) == 0


def test_steps_amid_calm_pixels_are_counted_at_borders_of_blocks(photo: Image.Image) -> None:
    luma = np.asarray(stored(photo, 6).convert("L"))
    change = np.abs(np.diff(luma[:: max(1, len(luma) // 160)].astype(np.int64), axis=1))
    steps = np.where((change[:, :-2] < 16) & (change[:, 2:] < 16), change[:, 1:-1].clip(max=64), -1)
    sums, counts = np.where(steps >= 0, steps, 0).sum(0), (steps >= 0).sum(0)
    whole = len(sums) // 8 * 8
    by_phase = sums[:whole].reshape(-1, 8).sum(0) / counts[:whole].reshape(-1, 8).sum(0)
    assert luma_steps._by_phase(luma, 8) == pytest.approx(by_phase)
    assert border_excess(luma, 8)[0] == pytest.approx(luma_steps._standing_out(by_phase))
