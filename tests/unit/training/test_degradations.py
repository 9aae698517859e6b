from __future__ import annotations

import itertools

import numpy as np
import pytest

from maclip_daemon.training.degradations import (
    KINDS,
    MAXIMUM_LEVEL,
    PAIRS,
    degrade,
)


def textured_photo() -> np.ndarray:
    """Detail at every scale, as photos have (power falls with frequency)."""
    generator = np.random.default_rng(3)
    frequency = np.hypot(np.fft.fftfreq(80)[:, None], np.fft.fftfreq(96)[None, :]) + 1 / 96
    spectrum = np.fft.fft2(generator.normal(size=(3, 80, 96))) / frequency
    values = np.moveaxis(np.fft.ifft2(spectrum).real, 0, -1)
    return np.clip(128 + 45 * values / values.std(), 0, 255).astype(np.uint8)


PHOTO = textured_photo()


def worsened(kind: str, level: float) -> np.ndarray:
    return degrade(PHOTO, kind, level, np.random.default_rng(5))


@pytest.mark.parametrize("kind", KINDS)
def test_each_level_is_further_from_the_photo_than_the_one_before(kind: str) -> None:
    levels = [worsened(kind, level) for level in range(MAXIMUM_LEVEL + 1)]
    distances = [float(np.abs(made.astype(float) - PHOTO).mean()) for made in levels]
    assert distances[0] == 0
    assert all(first < second for first, second in itertools.pairwise(distances)), distances
    assert all(made.shape == PHOTO.shape and made.dtype == np.uint8 for made in levels)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_pixels(kind: str) -> None:
    assert np.array_equal(worsened(kind, 2.5), worsened(kind, 2.5))


def test_every_kind_speaks_to_the_good_pair_and_to_pairs_that_exist() -> None:
    assert PAIRS.keys() == KINDS.keys()
    assert all(0 in pairs and set(pairs) <= set(range(5)) for pairs in PAIRS.values())


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(KeyError):
        degrade(PHOTO, "dust", 1, np.random.default_rng(0))
