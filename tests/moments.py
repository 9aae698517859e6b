"""Photos of moments as a camera takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageFilter


def take(
    path: Path, seed: int, second: float, *, stops: float = 0.0, shift: int = 0, blur: float = 0.0
) -> Path:
    """Write a photo of a scene as a camera would: the same camera, `second` after ten o'clock."""
    random = np.random.default_rng(seed)
    small = random.integers(30, 220, (20, 30, 3), dtype=np.uint8)
    scene = Image.fromarray(small).resize((760, 520), Image.Resampling.BICUBIC)
    image = scene.crop((20 + shift, 20, 740 + shift, 500)).filter(ImageFilter.GaussianBlur(blur))
    linear = (np.asarray(image) / 255) ** 2.2 * 2**stops
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Canon", "Canon EOS R6"
    directory = exif.get_ifd(ExifTags.IFD.Exif)
    minutes, seconds = divmod(second, 60)
    directory[ExifTags.Base.DateTimeOriginal] = f"2026:05:01 10:{int(minutes):02d}:{int(seconds):02d}"
    directory[ExifTags.Base.SubsecTimeOriginal] = f"{int(second * 100) % 100:02d}"
    directory[ExifTags.Base.LensModel] = "RF 35mm"
    if stops:
        directory[ExifTags.Base.ExposureBiasValue] = float(stops)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((np.clip(linear, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)).save(
        path, quality=92, exif=exif
    )
    return path
