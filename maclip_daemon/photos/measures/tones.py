"""Clipped light and contrast, from a sample of a picture's pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maclip_daemon.photos.measures.photo_measures import Measure, light_of

_SAMPLE = 640  # pixels of the long edge; percentages need no more
_WHITE, _BLACK = 251, 4  # grey levels; JPEG moves clipped pixels by some
_SHOWN = 24  # grey levels; below, detail is hardly seen, and pixels count as black in part
_BLACKNESS = np.clip((_SHOWN - np.arange(256)) / (_SHOWN - _BLACK), 0, 1) ** 2
_PERCENTILES = (5, 95)
_STEPS = 16  # of a grey level; counting such steps takes a tenth of the time of sorting pixels
_LEVELS = 256 * _STEPS
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)  # of red, green and blue (ITU-R BT.709)


@dataclass(frozen=True)
class Tones:
    """How a picture uses the range from black to white."""

    clipped_highlights: Measure
    """Per cent of the pixels that are clipped in at least two channels; one alone is a saturated colour."""
    clipped_shadows: Measure
    """Per cent of the pixels that are black in all three channels; nearly black ones count in part."""
    contrast: Measure
    """Stops (EV) between the dark and the bright twentieth of the pixels that are not clipped."""
    brightest: float
    """Level of a channel that one pixel in a thousand exceeds."""


def tones_of(image: Image.Image) -> Tones:
    """Return the tones of an image."""
    scale = min(1.0, _SAMPLE / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    sample = image.resize(size, Image.Resampling.NEAREST).convert("RGB")
    # One colour after the other: a reduction over three values each takes ten times as long.
    red, green, blue = (np.asarray(channel).reshape(-1) for channel in sample.split())
    darkest = np.minimum(np.minimum(red, green), blue)
    brightest = np.maximum(np.maximum(red, green), blue)
    second = np.maximum(np.minimum(red, green), np.minimum(np.maximum(red, green), blue))
    is_white, is_black = darkest >= _WHITE, brightest <= _BLACK
    brightness = np.bincount(brightest, minlength=256)
    grey = _LUMA[0] * red.astype(np.float32) + _LUMA[1] * green.astype(np.float32)
    grey += _LUMA[2] * blue.astype(np.float32)
    levels = (grey * _STEPS + 0.5).astype(np.uint16)
    counts = np.bincount(levels, minlength=_LEVELS)
    between = counts - np.bincount(levels[is_white | is_black], minlength=_LEVELS)
    sure = 1.0 if len(levels) > 1000 else 0.5
    return Tones(
        Measure(100 * float((second >= _WHITE).mean()), sure),
        Measure(100 * float(brightness @ _BLACKNESS) / len(brightest), sure),
        _contrast(between, len(levels)),
        float(_percentile(brightness, 99.9)),
    )


def _contrast(counts: NDArray[np.intp], all_pixels: int) -> Measure:
    pixels = int(counts.sum())
    if pixels < 100:
        return Measure(0.0, 0.0)
    dark, bright = (light_of(_percentile(counts, each) / _STEPS) for each in _PERCENTILES)
    return Measure(float(np.log2(bright / dark)), min(1.0, 2 * pixels / all_pixels))


def _percentile(counts: NDArray[np.intp], per_cent: float) -> int:
    """Return the place in `counts` that so many per cent of what they count do not exceed."""
    passed = np.cumsum(counts)
    return int(np.searchsorted(passed, per_cent / 100 * passed[-1]))
