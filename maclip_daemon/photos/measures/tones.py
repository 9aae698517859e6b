"""Clipped light and contrast, from a sample of a picture's pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maclip_daemon.photos.measures.photo_measures import Measure

_SAMPLE = 640  # pixels of the long edge; percentages need no more
_WHITE, _BLACK = 251, 4  # grey levels; JPEG moves clipped pixels by some
_PERCENTILES = (5, 95)
_STEPS = 16  # of a grey level; counting such steps takes a tenth of the time of sorting pixels
_LEVELS = 256 * _STEPS
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)  # of red, green and blue (ITU-R BT.709)


@dataclass(frozen=True)
class Tones:
    """How a picture uses the range from black to white."""

    clipped_highlights: Measure
    """Per cent of the pixels that are white in all three channels."""
    clipped_shadows: Measure
    """Per cent of the pixels that are black in all three channels."""
    contrast: Measure
    """Stops (EV) between the dark and the bright twentieth of the pixels that are not clipped."""
    brightest: float
    """Grey level that one pixel in two hundred exceeds."""


def tones_of(image: Image.Image) -> Tones:
    """Return the tones of an image."""
    scale = min(1.0, _SAMPLE / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    sample = image.resize(size, Image.Resampling.NEAREST).convert("RGB")
    # One colour after the other: a reduction over three values each takes ten times as long.
    red, green, blue = (np.asarray(channel).reshape(-1) for channel in sample.split())
    darkest = np.minimum(np.minimum(red, green), blue)
    brightest = np.maximum(np.maximum(red, green), blue)
    is_white, is_black = darkest >= _WHITE, brightest <= _BLACK
    grey = _LUMA[0] * red.astype(np.float32) + _LUMA[1] * green.astype(np.float32)
    grey += _LUMA[2] * blue.astype(np.float32)
    levels = (grey * _STEPS + 0.5).astype(np.uint16)
    counts = np.bincount(levels, minlength=_LEVELS)
    between = counts - np.bincount(levels[is_white | is_black], minlength=_LEVELS)
    sure = 1.0 if len(levels) > 1000 else 0.5
    return Tones(
        Measure(100 * float(is_white.mean()), sure),
        Measure(100 * float(is_black.mean()), sure),
        _contrast(between, len(levels)),
        _percentile(counts, 99.5),
    )


def _contrast(counts: NDArray[np.intp], all_pixels: int) -> Measure:
    pixels = int(counts.sum())
    if pixels < 100:
        return Measure(0.0, 0.0)
    dark, bright = (_linear(_percentile(counts, each)) for each in _PERCENTILES)
    return Measure(float(np.log2(bright / dark)), min(1.0, 2 * pixels / all_pixels))


def _percentile(counts: NDArray[np.intp], per_cent: float) -> float:
    """Return the grey level that so many per cent of the pixels do not exceed, to a sixteenth of a level.

    `counts`: pixels of each level, in such steps.
    """
    passed = np.cumsum(counts)
    return float(np.searchsorted(passed, per_cent / 100 * passed[-1])) / _STEPS


def _linear(code: float) -> float:
    """Return the light of a grey level of sRGB (IEC 61966-2-1), at least a thousandth of white."""
    share = code / 255
    light = share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
    return max(light, 0.001)
