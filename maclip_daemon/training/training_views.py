"""Training views: random crops and whole views of photos, plain or worsened, as normalised batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from maclip_daemon.iqa.view_size import VIEW_SIZE
from maclip_daemon.iqa.views import global_view, normalise
from maclip_daemon.training.alignment import Ladders
from maclip_daemon.training.degradations import (
    KINDS,
    MAXIMUM_LEVEL,
    PAIRS,
    Pixels,
    degrade,
)

_RIM = 12  # pixels around a crop that are worsened with it, so that filters have neighbours at its edge
SMALLEST_PHOTO = VIEW_SIZE + 2 * _RIM  # pixels; the shorter side
_SMALLEST_STEP = 0.6  # levels; closer ones cannot be told apart by eye
_FARTHEST = 64  # pixels between two crops of one consistency pair: at least half of each is common
_GLOBAL_SHARE = 0.15  # of views that show the whole photo; MA-CLIP's own share is 1 in 5 to 1 in 10


GREY_VIEWS = 2
"""Views of each photo that are grey: the whole photo, and its first crop."""


def crop_and_global_views(pixels: Pixels, crops: int, generator: np.random.Generator) -> Tensor:
    """Return [crops + 3, 3, 224, 224]: the whole photo and random crops, then the first two in grey.

    Each is mirrored or not; a grey one as its colour original.
    """
    corners = [_corner(pixels, 0, generator) for _ in range(crops)]
    mirrors = generator.random(crops + 1) < 0.5

    def views(photo: Pixels, count: int) -> list[Tensor]:
        made = [global_view(torch.from_numpy(photo.copy()))]
        made += [_normalised(_crop(photo, corner, 0)) for corner in corners[: count - 1]]
        return [view.flip(-1) if mirror else view for view, mirror in zip(made, mirrors, strict=False)]

    return torch.stack([*views(pixels, crops + 1), *views(to_grey(pixels), GREY_VIEWS)])


def to_grey(pixels: Pixels) -> Pixels:
    """Return the photo in black and white (Rec. 601 luma, as in JPEG), still three channels."""
    return np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))


LADDER_KINDS = tuple(kind for kind in KINDS if kind != "colour_loss")
"""Kinds to learn from. Black and white is a choice, not a fault: no ladder ends in grey."""

HARD_KINDS = (
    "jpeg", "webp", "pixelation", "overexposure", "overexposure", "underexposure", "colour_cast",
    "oversharpening", "impulse_noise",
)  # fmt: skip
"""Kinds whose first levels can pass for an improvement: less grain, more light, more colour, more edge."""


def ladder_batch(
    photos: Sequence[Pixels], count: int, generator: np.random.Generator, *, hard: bool = False
) -> Ladders:
    """Return ladders of `count` photos drawn at random: each worsened in one way, at two levels.

    A third of them are first worsened mildly in another way, as real photos often are. `hard`: of photos
    reduced to a random size, two thirds of them of `HARD_KINDS`, and half of them from the untouched photo to
    a low level.
    """
    views: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
    better, worse, pairs = [], [], []
    for _ in range(count):
        pixels = photos[int(generator.integers(len(photos)))]
        if hard:
            pixels = _reduced(pixels, generator)
            kinds = HARD_KINDS if generator.random() < 2 / 3 else LADDER_KINDS
            kind = str(generator.choice(kinds))
            low, high = (
                (0.0, generator.uniform(0.6, 2.0)) if generator.random() < 0.5 else _two_levels(generator)
            )
        else:
            kind = str(generator.choice(LADDER_KINDS))
            low, high = _two_levels(generator)
        for view, made in zip(views, _ladder(pixels, kind, low, high, generator), strict=True):
            view.append(made)
        better.append(low)
        worse.append(high)
        pairs.append([float(pair in PAIRS[kind]) for pair in range(5)])
    return Ladders(
        torch.stack([*views[0], *views[1], *views[2]]),
        torch.tensor(better, dtype=torch.float32),
        torch.tensor(worse, dtype=torch.float32),
        torch.tensor(pairs),
    )


def _reduced(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    """Return half of the photos unchanged, half with a shorter side between the smallest and their own."""
    shorter = min(pixels.shape[:2])
    if shorter <= SMALLEST_PHOTO or generator.random() < 0.5:
        return pixels
    scale = generator.uniform(SMALLEST_PHOTO / shorter, 1)
    size = tuple(max(SMALLEST_PHOTO, round(side * scale)) for side in pixels.shape[1::-1])
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def _two_levels(generator: np.random.Generator) -> tuple[float, float]:
    low = 0.0 if generator.random() < 0.35 else generator.uniform(0.5, MAXIMUM_LEVEL - _SMALLEST_STEP)
    # Neighbouring levels are the hard ones: half of the steps are short.
    reach = MAXIMUM_LEVEL if generator.random() < 0.5 else min(MAXIMUM_LEVEL, low + 1.3)
    return low, generator.uniform(min(low + _SMALLEST_STEP, reach), reach)


def _ladder(
    pixels: Pixels, kind: str, low: float, high: float, generator: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    seed, mirror = int(generator.integers(2**32)), bool(generator.random() < 0.5)

    def worsened(part: Pixels, level: float) -> Pixels:
        return degrade(part, kind, level, np.random.default_rng(seed))

    def flip(view: Tensor) -> Tensor:
        return view.flip(-1) if mirror else view

    if generator.random() < _GLOBAL_SHARE:
        first, worse = (
            global_view(torch.from_numpy(worsened(pixels, level).copy())) for level in (low, high)
        )
        return flip(first), first.flip(-1) if not mirror else first, flip(worse)
    corner = _corner(pixels, _RIM, generator)
    parts = [_crop(pixels, place, _RIM) for place in (corner, _overlapping(pixels, corner, generator))]
    if generator.random() < 1 / 3:
        before, level = str(generator.choice(LADDER_KINDS)), generator.uniform(0.5, 2.0)
        parts = [degrade(part, before, level, np.random.default_rng(seed + 1)) for part in parts]
    first, other, worse = (
        _normalised(worsened(part, level)[_RIM:-_RIM, _RIM:-_RIM])
        for part, level in ((parts[0], low), (parts[1], low), (parts[0], high))
    )
    return flip(first), flip(other), flip(worse)


def _corner(pixels: Pixels, rim: int, generator: np.random.Generator) -> tuple[int, int]:
    side = VIEW_SIZE + 2 * rim
    return (
        int(generator.integers(pixels.shape[0] - side + 1)),
        int(generator.integers(pixels.shape[1] - side + 1)),
    )


def _overlapping(pixels: Pixels, corner: tuple[int, int], generator: np.random.Generator) -> tuple[int, int]:
    """Return the corner of a crop that shares most of its content with the one at `corner`."""
    side = VIEW_SIZE + 2 * _RIM
    moved = [
        int(np.clip(place + generator.integers(-_FARTHEST, _FARTHEST + 1), 0, length - side))
        for place, length in zip(corner, pixels.shape[:2], strict=True)
    ]
    return moved[0], moved[1]


def _crop(pixels: Pixels, corner: tuple[int, int], rim: int) -> Pixels:
    side = VIEW_SIZE + 2 * rim
    return np.ascontiguousarray(pixels[corner[0] : corner[0] + side, corner[1] : corner[1] + side])


def _normalised(crop: NDArray[np.uint8]) -> Tensor:
    return normalise(torch.from_numpy(crop.copy()))
