"""Photos made by arithmetic, the same on every machine."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from maclip_daemon.iqa.protocols import parse


def synthetic_photo(seed: int, width: int, height: int) -> np.ndarray:
    """Return something like a photo: smooth shapes with noise, RGB bytes [H, W, 3], by arithmetic alone."""
    generator = np.random.RandomState(seed)
    coarse = generator.randint(0, 256, (height // 32 + 1, width // 32 + 1, 3))
    shapes = np.kron(coarse, np.ones((32, 32, 1), dtype=np.int64))[:height, :width]
    noise = generator.randint(-20, 21, shapes.shape)
    return np.clip(shapes + noise, 0, 255).astype(np.uint8)


def pixels_at(protocol: str, image: Image.Image) -> torch.Tensor:
    """Return the RGB bytes [H, W, 3] of an image at its protocol's size."""
    return torch.from_numpy(np.array(parse(protocol).resize(image)))
