"""Photos made by arithmetic, the same on every machine."""

from __future__ import annotations

import numpy as np


def synthetic_photo(seed: int, width: int, height: int) -> np.ndarray:
    """Something like a photo: smooth shapes with noise, RGB bytes [H, W, 3], by arithmetic alone."""
    generator = np.random.RandomState(seed)
    coarse = generator.randint(0, 256, (height // 32 + 1, width // 32 + 1, 3))
    shapes = np.kron(coarse, np.ones((32, 32, 1), dtype=np.int64))[:height, :width]
    noise = generator.randint(-20, 21, shapes.shape)
    return np.clip(shapes + noise, 0, 255).astype(np.uint8)
