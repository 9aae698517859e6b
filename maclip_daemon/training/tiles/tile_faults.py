"""Bursts of tiles: the same places in frames of one scene, sharp and faulty, at the scale of tiles.

Large photos are framed anew by an unsteady hand. There are few of them, so places are drawn anywhere in the
frame. Photos with opinions are small but thousands: four of them side by side are one scene, their pixels
taken as those of tiles, their frames moved by whole pixels and mirrored.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from maclip_daemon.iqa.view_size import VIEW_SIZE
from maclip_daemon.training.bursts.camera_faults import apply_fault
from maclip_daemon.training.bursts.reframing import (
    FramedShot,
    TrainingBurst,
    frame_size,
    random_burst,
    tiles_at,
)
from maclip_daemon.training.degradations import Pixels

MadeBurst = tuple[NDArray[np.uint8], TrainingBurst]
"""Tiles [F, T, 224, 224, 3] of a burst, and the burst they show."""

PAIRS = 3
"""Faults at two strengths in each burst, beside two sharp frames."""
PLACES = 4
"""Tiles of each frame."""
_RIM = 16  # pixels around a tile that filters need
_SMALLEST_EDGE = 2400  # pixels; a reduced photo still has room for eight tiles
_MOVED = 48  # pixels between two frames of a small photo
_SCALES = (0.18, 0.5)  # tiles' pixels in a pixel of a 6000-pixel frame: of 5 to 35 megapixels
_SIDE = VIEW_SIZE + 2 * _RIM


def large_burst(photo: Image.Image, generator: np.random.Generator) -> MadeBurst:
    """Return a burst at four random places of one large photo."""
    reduction = 1.0 if generator.random() < 0.5 else generator.uniform(0.5, 1)
    reduction = min(1, max(reduction, _SMALLEST_EDGE / max(photo.size)))
    if reduction < 1:
        size = round(photo.width * reduction), round(photo.height * reduction)
        photo = photo.resize(size, Image.Resampling.LANCZOS, reducing_gap=2)
    burst = random_burst(generator, PAIRS)
    width, height = frame_size(photo.size)
    corners = [
        (
            int(generator.integers(_RIM, width // 2 - VIEW_SIZE - _RIM)),
            int(generator.integers(_RIM, height // 2 - VIEW_SIZE - _RIM)),
        )
        for _ in range(PLACES)
    ]
    step = -1 if generator.random() < 0.5 else 1  # mirrored or not
    tiles = [tiles_at(photo, frame, corners)[:, :, ::step] for frame in burst.frames]
    return np.stack(tiles), burst


def composed_burst(photos: Sequence[Pixels], generator: np.random.Generator) -> MadeBurst:
    """Return a burst of some small photos, one place of each.

    The photos are first made as soft and grainy as a camera's pixels are; too small ones are enlarged.
    """
    burst = random_burst(generator, PAIRS)
    scale = float(generator.uniform(*_SCALES))
    softness = 0.0 if generator.random() < 0.4 else float(generator.uniform(0.2, 0.75))
    grain = 0.0 if generator.random() < 0.4 else float(generator.uniform(0.5, 4))
    tiles = [_tiles_of(photo, burst, scale, (softness, grain), generator) for photo in photos]
    return np.stack(tiles, axis=1), burst


def _tiles_of(
    photo: Pixels,
    burst: TrainingBurst,
    scale: float,
    camera: tuple[float, float],
    generator: np.random.Generator,
) -> NDArray[np.uint8]:
    softness, grain = camera
    photo = _roomy(photo)
    if softness:
        soft = gaussian_filter(photo.astype(np.float32), (softness, softness, 0))
        photo = np.clip(soft + 0.5, 0, 255).astype(np.uint8)
    left, top = (
        int(generator.integers(0, side - _SIDE - _MOVED + 1)) for side in (photo.shape[1], photo.shape[0])
    )
    patches, steps = [], []
    for frame in burst.frames:
        is_moved = frame.framing.zoom != 1
        x, y = generator.integers(0, _MOVED + 1, 2) if is_moved else (_MOVED // 2, _MOVED // 2)
        patches.append(photo[top + y : top + y + _SIDE, left + x : left + x + _SIDE])
        steps.append(-1 if generator.random() < 0.5 else 1)
    tiles = []
    for frame, level, patch, step in zip(burst.frames, burst.levels, patches, steps, strict=True):
        pixels = apply_fault(patch[None], frame.fault, scale, frame.seed)[0]
        quality = int(generator.integers(93, 99))
        if grain:
            noisy = pixels + grain * generator.standard_normal(pixels.shape, np.float32) + 0.5
            pixels = np.clip(noisy, 0, 255).astype(np.uint8)
        if level > 0 and frame.fault.kind == "none":
            quality = _quality_at_half_size(frame)
        tiles.append(_stored(pixels[_RIM:-_RIM, _RIM:-_RIM], quality)[:, ::step])
    return np.stack(tiles)


def _roomy(photo: Pixels) -> Pixels:
    """Return the photo, enlarged where there is no room for a tile that moves."""
    factor = (_SIDE + _MOVED) / min(photo.shape[:2])
    if factor <= 1:
        return photo
    size = tuple(max(_SIDE + _MOVED, round(side * factor)) for side in photo.shape[1::-1])
    return np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC))


def _quality_at_half_size(frame: FramedShot) -> int:
    """Return the JPEG quality whose damage looks like that of the frame's own, seen at half size."""
    return min(98, round(9.7 * float(np.sqrt(frame.quality))))


def _stored(tile: Pixels, quality: int) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(tile).save(file, "JPEG", quality=min(98, quality), subsampling=0)
    return np.asarray(Image.open(file).convert("RGB"))
