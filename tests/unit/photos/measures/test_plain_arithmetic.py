"""What is measured fast is what the plain formulas measure."""

import numpy as np
import pytest
from faulty_photos import Pixels, enlarged, grain, sharp
from PIL import Image

from maclip_daemon.photos.measures import edge_blur, luma_patches, profile_rhythms
from maclip_daemon.photos.measures.luma_patches import PATCH, LumaPatches, patches_of
from maclip_daemon.photos.measures.tones import tones_of


@pytest.fixture(scope="module")
def photo() -> Pixels:
    return grain(sharp(), 6)


@pytest.fixture(scope="module")
def picture(photo: Pixels) -> LumaPatches:
    found = patches_of(Image.fromarray(photo[:, :1000]), 1.0)
    assert found is not None
    return found


def test_the_patch_of_each_cell_is_where_the_picture_changes_most(picture: LumaPatches) -> None:
    half = np.asarray(Image.fromarray(picture.luma).reduce(2)).astype(np.int64)
    change = np.abs(half[:-1, 1:] - half[:-1, :-1]) + np.abs(half[1:, :-1] - half[:-1, :-1])
    height, width = (side // 8 for side in change.shape)
    blocks = change[: height * 8, : width * 8].reshape(height, 8, width, 8).sum((1, 3))
    cell = max(PATCH, max(picture.luma.shape) // luma_patches.CELLS_ALONG) // 16
    top, left = (height - picture.rows * cell) // 2, (width - picture.columns * cell) // 2
    assert len(picture.corners) == picture.rows * picture.columns > 100
    for place in range(len(picture.corners)):
        row, column = (each * cell for each in divmod(place, picture.columns))
        own = blocks[top + row : top + row + cell, left + column : left + column + cell]
        sums = {
            (down, across): own[down : down + 4, across : across + 4].sum()
            for down in range(cell - 3)
            for across in range(cell - 3)
        }
        down, across = max(sums, key=lambda each: sums[each])
        assert picture.corners[place].tolist() == [16 * (top + row + down), 16 * (left + column + across)]
        down, across = divmod(int(own.argmin()), cell)
        assert picture.flat_corners[place].tolist() == [
            16 * (top + row + down),
            16 * (left + column + across),
        ]


def test_a_patch_has_its_energy_whatever_lies_beside_it(picture: LumaPatches) -> None:
    patches = picture.patches()[:3]
    found = edge_blur.energy_of(patches, 1.5)
    for place, patch in enumerate(patches):
        for direction, (down, right) in enumerate(edge_blur.DIRECTIONS):
            values = patch.astype(np.float64)
            for step in [edge_blur._ACROSS[direction]] * 2:
                values = sum(edge_blur._neighbours(values, step))
            energies = []
            for gain, noise in ((4, 0.75), (64, 0.375 * 28 / 256)):
                one, other = edge_blur._neighbours(values, (down, right))
                energies.append(((one - other) ** 2).sum() / gain**2 - noise * 1.5**2 * one.size)
                for _ in range(4):
                    values = sum(edge_blur._neighbours(values, (down, right)))
            assert found.before[place, direction] == pytest.approx(max(energies[0], 0), rel=1e-5)
            assert found.after[place, direction] == pytest.approx(max(energies[1], 0), rel=1e-5, abs=1e-3)


def test_the_rhythm_of_an_enlargement_is_the_mean_of_logarithms(photo: Pixels) -> None:
    rows = np.asarray(Image.fromarray(enlarged(photo, 3)).convert("L"))[:100]
    light = rows.astype(np.float64)
    second = np.abs(light[:, :-2] - 2 * light[:, 1:-1] + light[:, 2:])
    first = np.abs(light[:, 2:] - light[:, :-2])
    plain = (np.log(second + 0.3) - np.log(first + 2)).sum(0)
    assert profile_rhythms._smoothness(rows) == pytest.approx(plain, rel=1e-5, abs=1e-3)


def test_tones_are_those_of_sorted_pixels(photo: Pixels) -> None:
    small = np.clip(photo[:400, :600].astype(np.int16) * 2 - 120, 0, 255).astype(np.uint8)
    found = tones_of(Image.fromarray(small))
    pixels = small.reshape(-1, 3)
    is_white, is_black = pixels.min(1) >= 251, pixels.max(1) <= 4
    assert found.clipped_highlights.value == pytest.approx(100 * (np.sort(pixels)[:, 1] >= 251).mean())
    blackness = ((24 - pixels.max(1).astype(float)) / 20).clip(0, 1) ** 2
    assert found.clipped_shadows.value == pytest.approx(100 * blackness.mean())
    assert found.brightest == pytest.approx(np.sort(pixels.max(1))[int(0.999 * len(pixels))], abs=1)
    between = np.sort((pixels @ np.array([0.2126, 0.7152, 0.0722]))[~(is_white | is_black)]) / 255
    dark, bright = (between[int(share * len(between))] for share in (0.05, 0.95))
    light = [
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in (dark, bright)
    ]
    assert found.contrast.value == pytest.approx(np.log2(light[1] / max(light[0], 0.001)), abs=0.1)
