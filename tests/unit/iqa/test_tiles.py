"""Tiles: where they lie, and what they show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from maclip_daemon.errors import UsageError
from maclip_daemon.iqa.protocols import parse
from maclip_daemon.iqa.tile_cutting import cut_tiles, stacked
from maclip_daemon.iqa.tile_grid import tile_grid
from maclip_daemon.iqa.view_grid import view_boxes, view_count

SIDES = st.integers(min_value=100, max_value=9000)


def noise(width: int, height: int, seed: int = 1) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def test_a_large_photo_is_shown_at_half_its_size_by_four_times_two_tiles() -> None:
    grid = tile_grid(6000, 4000, 8)
    assert grid is not None
    assert (grid.scale, grid.width, grid.height) == (0.5, 3000, 2000)
    assert [(box.x, box.y) for box in grid.boxes] == [
        (x, y) for y in (388, 1388) for x in (263, 1013, 1763, 2513)
    ]
    portrait = tile_grid(4000, 6000, 8)
    assert portrait is not None
    assert sorted((box.y, box.x) for box in portrait.boxes) == sorted((box.x, box.y) for box in grid.boxes)


@given(SIDES, SIDES, st.sampled_from([2, 4, 6, 8, 9, 12, 24]))
def test_tiles_lie_within_the_photo_side_by_side_and_never_enlarge_it(
    width: int, height: int, count: int
) -> None:
    grid = tile_grid(width, height, count)
    if grid is None:
        shorter = tile_grid(9000, 9000, count)
        assert shorter is not None
        columns = len({box.x for box in shorter.boxes})
        rows = count // columns
        assert max(width, height) < columns * 224 or min(width, height) < rows * 224
        return
    assert 0.5 <= grid.scale <= 1
    assert len(set(grid.boxes)) == count
    for box in grid.boxes:
        assert 0 <= box.x <= grid.width - 224
        assert 0 <= box.y <= grid.height - 224
        for other in grid.boxes:
            assert box == other or abs(box.x - other.x) >= 223 or abs(box.y - other.y) >= 223


@given(SIDES, SIDES)
def test_the_grid_of_a_mirrored_photo_is_the_mirrored_grid(width: int, height: int) -> None:
    grid = tile_grid(width, height, 8)
    if grid is not None:
        mirrored = sorted((grid.width - 224 - box.x, box.y) for box in grid.boxes)
        for (x, y), box in zip(mirrored, sorted(grid.boxes, key=lambda box: (box.x, box.y)), strict=True):
            assert abs(x - box.x) <= 1
            assert y == box.y


def test_a_small_photo_is_tiled_at_the_scale_at_which_its_tiles_just_fit() -> None:
    grid = tile_grid(1024, 768, 8)
    assert grid is not None
    assert grid.scale == pytest.approx(896 / 1024)
    assert {box.x for box in grid.boxes} == {0, 224, 448, 672}
    assert tile_grid(896, 448, 8) is not None
    assert tile_grid(895, 700, 8) is None
    assert tile_grid(2000, 447, 8) is None


def test_tiles_of_a_photo_at_half_its_size_are_its_own_pixels_mirrored_right_of_the_middle() -> None:
    grid = tile_grid(3001, 2001, 8)
    assert grid is not None
    half = noise(1501, 1001)
    strip = cut_tiles(half, grid)
    assert strip is not None
    for tile, box in zip(stacked(strip), grid.boxes, strict=True):
        expected = np.asarray(half)[box.y : box.y + 224, box.x : box.x + 224]
        assert np.array_equal(tile, expected[:, ::-1] if box.x > 750 else expected)


def test_tiles_of_a_photo_at_its_own_size_are_reduced() -> None:
    grid = tile_grid(3000, 2000, 8)
    assert grid is not None
    soft = noise(60, 40).resize((3000, 2000), Image.Resampling.BICUBIC)
    strip = cut_tiles(soft, grid)
    assert strip is not None
    half = np.asarray(soft.resize((1500, 1000), Image.Resampling.LANCZOS), np.int16)
    for tile, box in zip(stacked(strip), grid.boxes, strict=True):
        expected = half[box.y : box.y + 224, box.x : box.x + 224]
        assert np.abs(tile - (expected[:, ::-1] if box.x > 750 else expected)).mean() < 1


@pytest.mark.parametrize("count", [8, 9])
@pytest.mark.parametrize("size", [(3000, 2000), (2000, 3000)])
def test_a_photo_and_its_mirror_image_have_the_same_tiles(count: int, size: tuple[int, int]) -> None:
    grid = tile_grid(*size, count)
    assert grid is not None
    photo = noise(grid.width, grid.height)
    first, second = (cut_tiles(image, grid) for image in (photo, ImageOps.mirror(photo)))
    assert first is not None
    assert second is not None
    assert {tile.tobytes() for tile in stacked(first)} == {tile.tobytes() for tile in stacked(second)}


def test_tiles_are_never_enlarged() -> None:
    grid = tile_grid(6000, 4000, 8)
    assert grid is not None
    assert cut_tiles(noise(1600, 1066), grid) is None
    assert cut_tiles(noise(2912, 1941), grid) is not None, (
        "a preview a little smaller than the sensor is taken"
    )


def test_every_view_has_a_box_that_knows_its_kind() -> None:
    protocol = parse("detail-8")
    grid = protocol.tile_grid(6000, 4000)
    boxes = view_boxes(544, 363, centred=protocol.is_centred, tiles=grid)
    assert [box.kind for box in boxes] == ["crop"] * 6 + ["whole"] + ["tile"] * 8
    assert view_count(544, 363) == 7
    first = boxes[7]
    assert (first.x, first.y, first.width, first.height) == (48, 70, 41, 41)


@given(st.integers(224, 2000), st.integers(224, 2000))
def test_a_centred_grid_leaves_out_as_much_on_both_sides(width: int, height: int) -> None:
    crops = view_boxes(width, height, centred=True)[:-1]
    right, bottom = max(box.x for box in crops) + 224, max(box.y for box in crops) + 224
    assert 0 <= (width - right) - crops[0].x <= 1
    assert 0 <= (height - bottom) - crops[0].y <= 1
    published = view_boxes(width, height)[:-1]
    assert (published[0].x, published[0].y, len(published)) == (0, 0, len(crops))


@pytest.mark.parametrize("name", ["detail-8", "detail-4", "detail-12"])
def test_a_detail_protocol_keeps_the_size_of_long_edge_544(name: str) -> None:
    assert parse(name).target_size(6000, 4000) == parse("long-edge-544").target_size(6000, 4000)
    assert parse(name).name == name
    assert parse(name).smallest_decoded_size(6000, 4000) == (3000, 2000)


@pytest.mark.parametrize("name", ["detail-0", "detail-1", "detail-7", "detail-100", "detail-08", "detail-"])
def test_tiles_that_make_no_grid_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="detail-8"):
        parse(name)
