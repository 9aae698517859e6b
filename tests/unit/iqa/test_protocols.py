from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from maclip_daemon.errors import Poison, UsageError
from maclip_daemon.iqa.protocols import parse

SIDES = st.integers(min_value=1, max_value=12_000)


@pytest.mark.parametrize(
    ("name", "size", "target"),
    [
        ("native", (6000, 4000), (6000, 4000)),
        ("native", (300, 200), (336, 224)),
        ("native", (100, 400), (224, 896)),
        ("spaq448", (6000, 4000), (448, 448)),
        ("spaq448", (10, 20), (448, 448)),
        ("agiqa224", (640, 480), (224, 224)),
        ("long-edge-1024", (6000, 4000), (1024, 683)),
        ("long-edge-1024", (4000, 6000), (683, 1024)),
        ("long-edge-1024", (800, 600), (800, 600)),
        ("long-edge-512", (4000, 500), (1792, 224)),
    ],
)
def test_a_protocol_decides_the_size(name: str, size: tuple[int, int], target: tuple[int, int]) -> None:
    assert parse(name).name == name
    assert parse(name).target_size(*size) == target


@given(SIDES, SIDES, st.sampled_from(["native", "spaq448", "agiqa224", "long-edge-224", "long-edge-1024"]))
def test_every_target_holds_at_least_one_view(width: int, height: int, name: str) -> None:
    try:
        target = parse(name).target_size(width, height)
    except Poison:
        assert max(width, height) / min(width, height) > 100
    else:
        assert min(target) >= 224


@pytest.mark.parametrize(
    "name", ["", "Native", "long-edge", "long-edge-100", "long-edge-0512", "long-edge-x", "spaq448 "]
)
def test_an_unknown_protocol_names_the_valid_ones(name: str) -> None:
    with pytest.raises(UsageError, match="native, spaq448, agiqa224"):
        parse(name)


def test_a_strip_that_would_fill_the_memory_is_refused() -> None:
    with pytest.raises(Poison, match="1×60000"):
        parse("native").target_size(1, 60_000)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "CMYK", "1"])
def test_every_mode_becomes_rgb_at_the_target_size(mode: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (300, 260, 3), dtype=np.uint8)
    image = Image.fromarray(noise).convert("L" if mode == "LA" else "RGB").convert(mode)
    resized = parse("spaq448").resize(image)
    assert resized.mode == "RGB"
    assert resized.size == (448, 448)


def test_a_photo_of_the_right_size_is_not_resampled() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (300, 260, 3), dtype=np.uint8)
    assert np.array_equal(np.asarray(parse("native").resize(Image.fromarray(noise))), noise)
