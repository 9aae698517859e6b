"""Photos to measure with: real pictures enlarged to a camera's size, with grain, as JPEG files.

Where `../shared/data/photos` has photos of a camera, these; else scikit-image's samples (public domain). The
grain gives the files the size that such cameras write (0.35 to 0.45 bytes a pixel), which decides how long
decoding takes. Every photo has pixels of its own: known pixels are not scored twice.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

SIZES = {12: (4000, 3000), 24: (6000, 4000), 45: (8256, 5504)}
"""Megapixels → width and height."""
QUALITY = 92
GRAIN = 9.0  # standard deviation, of 255; smoothed over neighbours as a camera's own noise reduction does
SAMPLES = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
CAMERA_PHOTOS = Path(__file__).parents[2] / ".." / "shared" / "data" / "photos" / "burst"


def sources() -> list[Path]:
    """Real pictures to begin with."""
    found = sorted(CAMERA_PHOTOS.glob("*.jpg"))
    if found:
        return found
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    return [folder / name for name in SAMPLES]


def make(folder: Path, size: tuple[int, int], count: int, first_seed: int = 0) -> list[Path]:
    """Write `count` different photos of this width and height."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(first_seed)
    pictures = [Image.open(path).convert("RGB") for path in sources()]
    grain = _grain(size, random)
    made = []
    for place in range(count):
        picture = pictures[place % len(pictures)]
        turned = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if place // len(pictures) % 2 else picture
        rows, columns = random.integers(0, size[1]), random.integers(0, size[0])
        pixels = np.asarray(turned.resize(size, Image.Resampling.BICUBIC)).astype(np.int16)
        pixels += np.roll(grain, (rows, columns), (0, 1))[:, :, None]
        path = folder / f"{size[0]}x{size[1]}-{first_seed:02d}-{place:03d}.jpg"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=QUALITY)
        made.append(path)
    return made


def _grain(size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    noise = random.normal(128, 2.5 * GRAIN, (size[1], size[0])).clip(0, 255).astype(np.uint8)
    smooth = Image.fromarray(noise).filter(ImageFilter.GaussianBlur(0.7))
    return np.asarray(smooth).astype(np.int16) - 128
