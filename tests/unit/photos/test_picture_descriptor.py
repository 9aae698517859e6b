"""Descriptors tell alike pictures from others."""

from __future__ import annotations

import io

import numpy as np
import pytest
from make_photos import picture
from PIL import Image

from maclip_daemon.photos.shots.descriptor_layout import DESCRIPTOR_BYTES, Descriptor, is_descriptor, unpack
from maclip_daemon.photos.shots.picture_descriptor import describe
from maclip_daemon.pipeline.bursts.likeness import UNLIKE, at_shift, colour_distance, compare, overlap


def described(image: Image.Image) -> Descriptor:
    return unpack(describe(image))


def scene(seed: int = 1, width: int = 900, height: int = 600) -> Image.Image:
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (16, 24, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def brighter(image: Image.Image, stops: float) -> Image.Image:
    linear = (np.asarray(image) / 255) ** 2.2 * 2**stops
    return Image.fromarray((np.clip(linear, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8))


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def test_a_descriptor_has_256_bytes_whatever_the_picture() -> None:
    for size in ((1, 1), (3, 500), (640, 480), (6000, 20)):
        packed = describe(picture(*size))
        assert len(packed) == DESCRIPTOR_BYTES == 256
        assert is_descriptor(packed)
    assert not is_descriptor(b"\2" + packed[1:])
    with pytest.raises(ValueError, match="not a picture descriptor"):
        unpack(packed[:-1])


def test_size_compression_and_exposure_leave_a_picture_alike() -> None:
    image = scene()
    whole = described(image)
    for other in (image.resize((225, 150)), as_jpeg(image, 30), brighter(image, -1.5), brighter(image, 1.0)):
        found = compare(whole, described(other))
        assert found.agreement > 0.9
        assert (found.right, found.below) == (0, 0)
    assert described(brighter(image, -1.0)).level == pytest.approx(whole.level - 1, abs=0.2)


def test_other_pictures_agree_by_chance_alone() -> None:
    descriptors = [described(scene(seed)) for seed in range(12)]
    agreements = [compare(a, b).agreement for i, a in enumerate(descriptors) for b in descriptors[:i]]
    assert max(agreements) < 0.68


def test_a_shift_of_the_content_is_measured() -> None:
    wide = scene(2, 1800, 600)
    first, near, far = (described(wide.crop((x, 0, x + 900, 600))) for x in (0, 43, 429))
    found = compare(first, near)
    assert (found.right, found.below) == (-1, 0)
    assert found.agreement > 0.9
    assert compare(first, far).agreement < 0.7
    found = overlap(first, far)
    assert (found.right, found.below) == (-10, 0)
    assert found.agreement > 0.9


def test_nothing_is_like_an_all_black_picture_not_even_another_one() -> None:
    noise = np.random.default_rng(4).integers(0, 3, (600, 900, 3), dtype=np.uint8)
    dark = described(Image.fromarray(noise))
    assert dark.known_bits == 0
    assert compare(dark, dark) == at_shift(dark, dark, 0, 0) == overlap(dark, dark) == UNLIKE
    assert dark.black_share == 1


def test_colours_tell_pictures_of_the_same_shape_apart() -> None:
    image = scene()
    red, blue = (Image.blend(image, Image.new("RGB", image.size, tint), 0.5) for tint in ("red", "blue"))
    assert colour_distance(described(red), described(blue)) > 40
    assert colour_distance(described(red), described(red.resize((300, 200)))) < 2


def test_sharpness_is_known_by_region() -> None:
    image = Image.fromarray(np.random.default_rng(5).integers(0, 256, (600, 900, 3), dtype=np.uint8))
    half = image.copy()
    half.paste(image.crop((450, 0, 900, 600)).resize((45, 60)).resize((450, 600)), (450, 0))
    cells = np.frombuffer(described(half).sharpness, np.uint8).reshape(4, 5).astype(int)
    assert cells[:, :2].min() > cells[:, 3:].max() + 16
