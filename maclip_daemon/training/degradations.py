"""Degradations: blur, noise, compression and other faults of photographs, at a chosen strength.

Quality-aware image–text alignment learns from them (QualiCLIP, arXiv 2403.11176, section 3): a photo worsened
step by step has an order of quality that needs no human opinion. Levels are numbers from 0 (untouched) to 5
(severe). Strengths were chosen by eye for photographs of about 512 pixels, so that level 1 is just visible.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy.ndimage import gaussian_filter1d
from scipy.signal import fftconvolve

Pixels = NDArray[np.uint8]
"""RGB, height × width × 3."""
Degradation = Callable[[Pixels, float, np.random.Generator], Pixels]

MAXIMUM_LEVEL = 5
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # Rec. 601, as in JPEG


def degrade(pixels: Pixels, kind: str, level: float, generator: np.random.Generator) -> Pixels:
    """Return the photo worsened in one way; level 0 returns it unchanged. Raises `KeyError` for another kind.

    A ladder of one photo should draw each level from a generator of the same seed: then its levels differ
    in strength alone.
    """
    return pixels if level <= 0 else KINDS[kind](pixels, float(level), generator)


def _to_pixels(values: NDArray[np.floating]) -> Pixels:
    pixels: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return pixels


def _between(level: float, *strengths: float) -> float:
    """Return the strength at a level, linear between those of levels 1 to 5 (0 at level 0)."""
    return float(np.interp(level, range(1, MAXIMUM_LEVEL + 1), strengths))


def _gaussian_blur(pixels: Pixels, level: float, _: np.random.Generator) -> Pixels:
    radius = _between(level, 0.7, 1.2, 1.9, 2.9, 4.5)
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def _convolve(pixels: Pixels, kernel: NDArray[np.float32]) -> Pixels:
    reach = kernel.shape[0] // 2
    padded = np.pad(pixels.astype(np.float32), ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    return _to_pixels(fftconvolve(padded, kernel[:, :, None], mode="valid", axes=(0, 1)))


def _grid(reach: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    axis = np.arange(-reach, reach + 1, dtype=np.float32)
    return axis[:, None], axis[None, :]


def _lens_blur(pixels: Pixels, level: float, _: np.random.Generator) -> Pixels:
    radius = _between(level, 1.2, 2.0, 3.2, 5.0, 8.0)
    rows, columns = _grid(int(np.ceil(radius)) + 1)
    disc = np.clip(radius + 0.5 - np.hypot(rows, columns), 0, 1).astype(np.float32)
    return _convolve(pixels, disc / disc.sum())


def _motion_blur(pixels: Pixels, level: float, generator: np.random.Generator) -> Pixels:
    half = _between(level, 1.5, 2.5, 4.0, 6.5, 11.0)
    angle = generator.uniform(0, np.pi)
    rows, columns = _grid(int(np.ceil(half)) + 1)
    along = np.abs(columns * np.cos(angle) + rows * np.sin(angle))
    across = np.abs(columns * np.sin(angle) - rows * np.cos(angle))
    line = (np.clip(half + 0.5 - along, 0, 1) * np.clip(1 - across, 0, 1)).astype(np.float32)
    return _convolve(pixels, line / line.sum())


def _white_noise(pixels: Pixels, level: float, generator: np.random.Generator) -> Pixels:
    noise = generator.standard_normal(pixels.shape, dtype=np.float32)
    return _to_pixels(pixels + noise * _between(level, 5, 9, 15, 25, 42))


def _colour_noise(pixels: Pixels, level: float, generator: np.random.Generator) -> Pixels:
    noise = generator.standard_normal(pixels.shape, dtype=np.float32)
    noise = gaussian_filter1d(gaussian_filter1d(noise, 0.8, axis=0), 0.8, axis=1)
    chroma = noise - (noise @ _LUMA)[..., None]
    return _to_pixels(pixels + chroma * _between(level, 18, 30, 48, 75, 120))


def _high_iso_noise(pixels: Pixels, level: float, generator: np.random.Generator) -> Pixels:
    shot = np.sqrt(pixels.astype(np.float32) / 255 * 0.6 + 0.4)
    fine = generator.standard_normal((*pixels.shape[:2], 1), dtype=np.float32)
    blotches = generator.standard_normal(pixels.shape, dtype=np.float32)
    blotches = gaussian_filter1d(gaussian_filter1d(blotches, 1.2, axis=0), 1.2, axis=1) * 3
    return _to_pixels(pixels + (fine + blotches) * shot * _between(level, 4, 7, 12, 20, 32))


def _impulse_noise(pixels: Pixels, level: float, generator: np.random.Generator) -> Pixels:
    share = _between(level, 0.003, 0.008, 0.02, 0.05, 0.12)
    draw = generator.random(pixels.shape, dtype=np.float32)
    return np.where(draw < share / 2, 0, np.where(draw > 1 - share / 2, 255, pixels)).astype(np.uint8)


def _through(pixels: Pixels, kind: str, quality: float) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, quality=round(quality))
    return np.asarray(Image.open(file).convert("RGB"))


def _jpeg(pixels: Pixels, level: float, _: np.random.Generator) -> Pixels:
    return _through(pixels, "JPEG", _between(level, 45, 28, 17, 10, 5))


def _webp(pixels: Pixels, level: float, _: np.random.Generator) -> Pixels:
    return _through(pixels, "WEBP", _between(level, 45, 25, 13, 5, 0))


def _resampled(pixels: Pixels, factor: float, back: Image.Resampling) -> Pixels:
    height, width = pixels.shape[:2]
    small = (max(1, round(width / factor)), max(1, round(height / factor)))
    image = Image.fromarray(pixels).resize(small, Image.Resampling.BICUBIC)
    return np.asarray(image.resize((width, height), back))


def _downscaling(pixels: Pixels, level: float, _: np.random.Generator) -> Pixels:
    return _resampled(pixels, _between(level, 1.6, 2.3, 3.3, 5.0, 8.0), Image.Resampling.BICUBIC)


def _pixelation(pixels: Pixels, level: float, _: np.random.Generator) -> Pixels:
    return _resampled(pixels, _between(level, 1.5, 2.2, 3.2, 5.0, 8.0), Image.Resampling.NEAREST)


def _underexposure(pixels: Pixels, level: float, generator: np.random.Generator) -> Pixels:
    stops = _between(level, 0.6, 1.1, 1.7, 2.4, 3.3)
    linear = (pixels.astype(np.float32) / 255) ** 2.2 * 2**-stops
    read_noise = generator.standard_normal(pixels.shape, dtype=np.float32) * 0.8  # grey levels
    return _to_pixels(linear ** (1 / 2.2) * 255 + read_noise)


def _overexposure(pixels: Pixels, level: float, _: np.random.Generator) -> Pixels:
    stops = _between(level, 0.5, 0.9, 1.4, 2.0, 2.8)
    return _to_pixels(((pixels.astype(np.float32) / 255) ** 2.2 * 2**stops) ** (1 / 2.2) * 255)


def _contrast_loss(pixels: Pixels, level: float, _: np.random.Generator) -> Pixels:
    keep = _between(level, 0.75, 0.58, 0.43, 0.3, 0.18)
    values = pixels.astype(np.float32)
    return _to_pixels(values.mean() + (values - values.mean()) * keep)


def _colour_loss(pixels: Pixels, level: float, _: np.random.Generator) -> Pixels:
    keep = _between(level, 0.7, 0.5, 0.32, 0.16, 0.0)
    grey = (pixels @ _LUMA)[..., None]
    return _to_pixels(grey + (pixels - grey) * keep)


def _colour_cast(pixels: Pixels, level: float, generator: np.random.Generator) -> Pixels:
    direction = generator.standard_normal(3).astype(np.float32)
    direction -= direction.mean()
    gains = 2 ** (direction / np.abs(direction).max() * _between(level, 0.2, 0.35, 0.55, 0.8, 1.2))
    return _to_pixels(pixels * gains)


def _oversharpening(pixels: Pixels, level: float, _: np.random.Generator) -> Pixels:
    percent = round(_between(level, 150, 280, 450, 750, 1300))
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.UnsharpMask(1.5, percent, 0)))


KINDS: dict[str, Degradation] = {
    "gaussian_blur": _gaussian_blur,
    "lens_blur": _lens_blur,
    "motion_blur": _motion_blur,
    "white_noise": _white_noise,
    "colour_noise": _colour_noise,
    "high_iso_noise": _high_iso_noise,
    "impulse_noise": _impulse_noise,
    "jpeg": _jpeg,
    "webp": _webp,
    "downscaling": _downscaling,
    "pixelation": _pixelation,
    "underexposure": _underexposure,
    "overexposure": _overexposure,
    "contrast_loss": _contrast_loss,
    "colour_loss": _colour_loss,
    "colour_cast": _colour_cast,
    "oversharpening": _oversharpening,
}

PAIRS: dict[str, tuple[int, ...]] = {
    # which of MA-CLIP's pairs (good, sharp, edges, resolution, noise-free) a degradation speaks to
    "gaussian_blur": (0, 1, 2, 3),
    "lens_blur": (0, 1, 2, 3),
    "motion_blur": (0, 1, 2),
    "white_noise": (0, 4),
    "colour_noise": (0, 4),
    "high_iso_noise": (0, 4),
    "impulse_noise": (0, 4),
    "jpeg": (0, 2, 3),
    "webp": (0, 1, 2, 3),
    "downscaling": (0, 1, 2, 3),
    "pixelation": (0, 2, 3),
    "underexposure": (0,),
    "overexposure": (0,),
    "contrast_loss": (0,),
    "colour_loss": (0,),
    "colour_cast": (0,),
    "oversharpening": (0, 2),
}
