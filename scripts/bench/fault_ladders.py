"""Photos spoiled step by step at full size, one fault at a time."""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.signal import oaconvolve

Pixels = NDArray[np.uint8]
Light = NDArray[np.float32]
QUALITY = 95  # of the JPEG that holds every step


def to_light(pixels: Pixels) -> Light:
    """Return sRGB codes as linear light, 0 to 1 (IEC 61966-2-1)."""
    share = pixels.astype(np.float32) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_codes(light: Light) -> Pixels:
    """Return linear light as sRGB codes."""
    light = np.clip(light, 0, 1)
    share = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return (255 * share + 0.5).astype(np.uint8)


def blurred(pixels: Pixels, deviation: float) -> Pixels:
    """Return the photo out of focus: a Gaussian in linear light, its deviation in pixels."""
    return to_codes(gaussian_filter(to_light(pixels), (deviation, deviation, 0)))


def moved(pixels: Pixels, length: float, degrees: float) -> Pixels:
    """Return the photo with an even movement, in linear light."""
    reach = math.ceil(length / 2) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for along in np.linspace(-length / 2, length / 2, 16 * reach):
        across = reach + along * math.cos(math.radians(degrees))
        down = reach - along * math.sin(math.radians(degrees))
        column, row = int(across), int(down)
        right, below = across - column, down - row
        kernel[row, column] += (1 - below) * (1 - right)
        kernel[row, column + 1] += (1 - below) * right
        kernel[row + 1, column] += below * (1 - right)
        kernel[row + 1, column + 1] += below * right
    kernel /= kernel.sum()
    padded = np.pad(to_light(pixels), ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    channels = [oaconvolve(padded[..., channel], kernel, mode="valid") for channel in range(3)]
    return to_codes(np.stack(channels, -1))


def noisy(pixels: Pixels, deviation: float) -> Pixels:
    """Return the photo with white noise in its brightness, in grey levels."""
    noise = np.random.default_rng(0).normal(0, deviation, (*pixels.shape[:2], 1))
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)


def exposed(pixels: Pixels, stops: float) -> Pixels:
    """Return the photo with more or less light."""
    return to_codes(to_light(pixels) * np.float32(2**stops))


def flattened(pixels: Pixels, share: float) -> Pixels:
    """Return the photo with this share of its contrast."""
    mean = float(pixels.mean())
    return np.clip((pixels - mean) * share + mean + 0.5, 0, 255).astype(np.uint8)


def compressed(pixels: Pixels, quality: float) -> Pixels:
    """Return the photo after a JPEG of this quality."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=int(quality))
    return np.asarray(Image.open(buffer))


def enlarged(pixels: Pixels, factor: float) -> Pixels:
    """Return the photo reduced and enlarged again."""
    image = Image.fromarray(pixels)
    small = (round(image.width / factor), round(image.height / factor))
    reduced = image.resize(small, Image.Resampling.LANCZOS)
    return np.asarray(reduced.resize(image.size, Image.Resampling.BICUBIC))


LADDERS: dict[str, tuple[Callable[[Pixels, float], Pixels], tuple[float, ...], int]] = {
    "focus": (blurred, (0.9, 1.5, 2.5, 4, 6), 1),
    "motion": (lambda pixels, length: moved(pixels, length, 30), (6, 10, 16, 24), 1),
    "noise": (noisy, (3, 6, 10, 16), 1),
    "clipped_highlights": (exposed, (1, 2, 3), 1),
    "clipped_shadows": (exposed, (-2, -4, -6), 1),
    "contrast": (flattened, (0.7, 0.45, 0.25), -1),
    "jpeg_damage": (compressed, (60, 40, 25, 12, 5), 1),
    "enlargement": (enlarged, (3, 5, 9), 1),
}
"""Quality → what spoils it, the steps from weak to strong, and whether its value grows (1) or falls (−1)."""


def as_decoded(pixels: Pixels) -> Image.Image:
    """Return a photo as `detail-8` decodes it: a JPEG at half its size."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    image = Image.open(buffer)
    image.draft("RGB", (image.width // 2, image.height // 2))
    return image.convert("RGB")
