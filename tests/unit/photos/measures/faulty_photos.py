"""A sharp picture of many edges, and what spoils it by a known amount."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import convolve1d, gaussian_filter

Pixels = NDArray[np.uint8]
SIZE = (1280, 960)


def sharp(seed: int = 0, size: tuple[int, int] = SIZE) -> Pixels:
    """Triangles of all greys and colours, antialiased, with calm parts, and grain of two grey levels."""
    random = np.random.default_rng(seed)
    large = Image.new("RGB", (2 * size[0], 2 * size[1]), (110, 112, 108))
    pen = ImageDraw.Draw(large)
    for _ in range(260):
        middle = random.uniform(0, 1, 2) * large.size
        corners = [tuple(middle + random.normal(0, 90, 2)) for _ in range(3)]
        pen.polygon(corners, fill=tuple(int(each) for each in random.integers(40, 215, 3)))
    pixels = np.asarray(large.reduce(2), np.float32)
    return grain(pixels, 2.0, seed)


def grain(pixels: NDArray[np.floating] | Pixels, deviation: float, seed: int = 1) -> Pixels:
    noise = np.random.default_rng(seed).normal(0, deviation, (*pixels.shape[:2], 1))
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)


def blurred(pixels: Pixels, deviation: float) -> Pixels:
    return gaussian_filter(pixels.astype(np.float32), (deviation, deviation, 0)).round().astype(np.uint8)


def moved(pixels: Pixels, length: int, axis: int) -> Pixels:
    kernel = np.full(length, 1 / length, np.float32)
    return convolve1d(pixels.astype(np.float32), kernel, axis=axis).round().astype(np.uint8)


def exposed(pixels: Pixels, stops: float) -> Pixels:
    """Return a photo with more or less light."""
    share = pixels.astype(np.float64) / 255
    light = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4) * 2**stops
    light = light.clip(0, 1)
    codes = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return (255 * codes + 0.5).astype(np.uint8)


def compressed(pixels: Pixels, quality: int) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def at_half_size(pixels: Pixels) -> Pixels:
    """Return a photo as `detail-8` decodes it: a good JPEG at half its size."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95, subsampling=0)
    image = Image.open(buffer)
    image.draft("RGB", (image.width // 2, image.height // 2))
    return np.asarray(image.convert("RGB"))


def enlarged(pixels: Pixels, factor: float, filter_: Image.Resampling = Image.Resampling.BICUBIC) -> Pixels:
    height, width = pixels.shape[:2]
    image = Image.fromarray(pixels)
    small = image.resize((round(width / factor), round(height / factor)), Image.Resampling.LANCZOS)
    return np.asarray(small.resize(image.size, filter_))
