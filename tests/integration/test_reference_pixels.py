"""Odd files of real libraries look like their references, through the real decoder process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from maclip_daemon.errors import Poison
from maclip_daemon.photos.decoder import Decoder
from maclip_daemon.settings import DecodingSettings

CASES = Path(__file__).parents[2] / "../shared/cases"
pytestmark = pytest.mark.skipif(
    not CASES.is_dir(), reason="the folder of odd files is not beside this checkout"
)
REFERENCES = [  # file, reference, mean difference of pixels on the scale from 0 to 1
    ("tiff-float32-rgb/float32_deflate.tif", "tiff-float32-rgb/ref.png", 0.0),
    ("tiff-16bit-kinds/planar16.tif", "tiff-16bit-kinds/ref.png", 0.0),
    ("png-alpha/junk_under.png", "png-alpha/ref_on_white.png", 0.0),
    ("png-large-text-chunk/ps_history.png", "png-large-text-chunk/ref.png", 0.0),
    ("jpeg-odd-ends/no_eoi.jpg", "jpeg-odd-ends/ref.jpg", 0.0),
    ("jpeg-odd-ends/zeros_before_eoi.jpg", "jpeg-odd-ends/ref.jpg", 0.0),
    ("wide-gamut/prophoto.jpg", "wide-gamut/ref.jpg", 0.01),
    ("heic-hdr/pq.heic", "heic-hdr/ref.png", 0.01),
    ("heic-avif-orientation/xmp6_stale.jpg", "heic-avif-orientation/ref.jpg", 0.0),
]


@pytest.fixture
def decoder(tmp_path: Path) -> Iterator[Decoder]:
    made = Decoder(DecodingSettings(), "native", tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize(("name", "reference", "tolerance"), REFERENCES)
def test_it_looks_like_its_reference(decoder: Decoder, name: str, reference: str, tolerance: float) -> None:
    shown, expected = (
        decoder.decode((CASES / each).resolve()).take_pixels().astype(float) for each in (name, reference)
    )
    assert np.abs(shown - expected).mean() / 255 <= tolerance


@pytest.mark.parametrize(
    "name", ["wrong-extension/IMG_0001.HEIC", "wrong-extension/IMG_0002.jpg", "formats-not-known/x.jxl"]
)
def test_it_is_read_by_what_it_holds(decoder: Decoder, name: str) -> None:
    assert decoder.decode((CASES / name).resolve()).take_pixels().std() > 20


def test_what_is_no_photo_is_refused(decoder: Decoder) -> None:
    with pytest.raises(Poison):
        decoder.decode((CASES / "formats-not-known/x.gif").resolve())
