"""Burst frames: one large photo, framed again and again by an unsteady hand, each frame with its own fault.

Faults are made at full size and only where a detail tile looks: 4 million pixels instead of 24.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maclip_daemon.iqa.view_size import VIEW_SIZE
from maclip_daemon.training.bursts.camera_faults import LEVELS, REFERENCE_EDGE, Fault, apply_fault, fault_at
from maclip_daemon.training.degradations import Pixels

FRAME_SHARE = 0.9
"""Sides of a frame as a share of the photo's; the rest leaves room for shifts and tilts."""
_RIM = 16  # pixels of a tile on each side that filters need
SMALL_EDGE = 1088  # pixels; the frame that is reduced to the small picture


@dataclass(frozen=True)
class Framing:
    """How a frame lies in its photo."""

    shift: tuple[float, float] = (0.0, 0.0)
    """Right and down, as a share of the photo's sides."""
    zoom: float = 1.0
    tilt: float = 0.0
    """Degrees."""

    def coefficients(self, photo: tuple[int, int], frame: tuple[int, int]) -> tuple[float, ...]:
        """Return (a, b, c, d, e, f): frame pixel (x, y) shows photo pixel (ax+by+c, dx+ey+f)."""
        angle = np.deg2rad(self.tilt)
        cos, sin = float(np.cos(angle)) / self.zoom, float(np.sin(angle)) / self.zoom
        middle = (photo[0] * (0.5 + self.shift[0]), photo[1] * (0.5 + self.shift[1]))
        x, y = frame[0] / 2, frame[1] / 2
        if self.zoom == 1 and self.tilt == 0:  # whole pixels: a plain crop, nothing is interpolated
            return 1.0, 0.0, float(round(middle[0] - x)), 0.0, 1.0, float(round(middle[1] - y))
        return cos, -sin, middle[0] - cos * x + sin * y, sin, cos, middle[1] - sin * x - cos * y


def random_framing(generator: np.random.Generator) -> Framing:
    """Return a shift up to 1.5 %, a crop up to 3 % and a tilt up to 1.5 degrees: of a second shot."""
    return Framing(
        (generator.uniform(-0.015, 0.015), generator.uniform(-0.015, 0.015)),
        generator.uniform(1.0, 1.03),
        generator.uniform(-1.5, 1.5),
    )


def frame_size(photo: tuple[int, int]) -> tuple[int, int]:
    """Return (width, height) of the frames of a photo, even numbers of pixels."""
    width, height = (int(side * FRAME_SHARE) // 2 * 2 for side in photo)
    return width, height


def framed(photo: Image.Image, framing: Framing, box: tuple[int, int, int, int] | None = None) -> Image.Image:
    """Return a frame of a photo, or the part in `box` (left, top, right, bottom), which may lap over."""
    size = frame_size(photo.size)
    left, top, right, bottom = box or (0, 0, *size)
    a, b, c, d, e, f = framing.coefficients(photo.size, size)
    moved = (a, b, c + a * left + b * top, d, e, f + d * left + e * top)
    return photo.transform(
        (right - left, bottom - top), Image.Transform.AFFINE, moved, Image.Resampling.BICUBIC
    )


def tile_corners(width: int, height: int) -> list[tuple[int, int]]:
    """Return (left, top) of eight tiles at half size, one in the middle of each of 4×2 or 2×4 cells."""
    columns, rows = (4, 2) if width >= height else (2, 4)
    return [
        (
            round((2 * column + 1) * width / 2 / (2 * columns) - VIEW_SIZE / 2),
            round((2 * row + 1) * height / 2 / (2 * rows) - VIEW_SIZE / 2),
        )
        for row in range(rows)
        for column in range(columns)
    ]


@dataclass(frozen=True)
class FramedShot:
    """One frame of a burst: its framing, its fault and how it was stored."""

    framing: Framing
    fault: Fault
    quality: int
    """Of its JPEG."""
    seed: int


def frame_tiles(photo: Image.Image, frame: FramedShot, cells: Sequence[int] = range(8)) -> NDArray[np.uint8]:
    """Return the detail tiles [N, 224, 224, 3] of one frame, stored as JPEG and read at half size.

    `cells`: which of the eight, by row.
    """
    corners = tile_corners(*frame_size(photo.size))
    return tiles_at(photo, frame, [corners[cell] for cell in cells])


def tiles_at(photo: Image.Image, frame: FramedShot, corners: Sequence[tuple[int, int]]) -> NDArray[np.uint8]:
    """Return tiles as `frame_tiles`, at these places: (left, top) at half size."""
    width, height = frame_size(photo.size)
    patches = []
    for left, top in corners:
        first, second = 2 * (left - _RIM), 2 * (top - _RIM)
        side = 2 * (VIEW_SIZE + 2 * _RIM)
        box = (first, second, first + side, second + side)
        patches.append(np.asarray(framed(photo, frame.framing, box)))
    scale = max(width, height) / REFERENCE_EDGE
    faulty = apply_fault(np.stack(patches), frame.fault, scale, frame.seed)
    return np.stack([_stored(patch, frame.quality)[_RIM:-_RIM, _RIM:-_RIM] for patch in faulty])


def _stored(patch: Pixels, quality: int) -> Pixels:
    """Return the patch as a JPEG of this quality, decoded at half size."""
    file = io.BytesIO()
    Image.fromarray(patch).save(file, "JPEG", quality=quality, subsampling=0 if quality >= 90 else 2)
    image = Image.open(file)
    image.draft("RGB", (patch.shape[1] // 2, patch.shape[0] // 2))
    return np.asarray(image.convert("RGB"))


def frame_picture(small: Image.Image, frame: FramedShot, long_edge: int) -> Pixels:
    """Return a frame reduced to `long_edge`, its fault made on the reduced photo `small`: nearly equal.

    Noise averages out and blur shrinks with the reduction; blocks of JPEG are left out.
    """
    picture = np.asarray(framed(small, frame.framing))
    scale = max(picture.shape[:2]) / REFERENCE_EDGE
    fault = frame.fault
    if fault.kind == "noise":
        fault = Fault("noise", fault.strength * scale**0.5)  # `apply_fault` takes the other root
    if fault.kind == "enlarged" or (fault.kind != "exposure" and fault.strength * scale < 0.1):
        fault = Fault("none") if fault.kind != "enlarged" or fault.strength * scale <= 1 else fault
    image = Image.fromarray(apply_fault(picture[None], fault, scale, frame.seed)[0])
    factor = long_edge / max(image.size)
    return np.asarray(
        image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)
    )


@dataclass(frozen=True)
class TrainingBurst:
    """The frames of one scene: two sharp ones, then pairs of one fault, the weaker first."""

    frames: tuple[FramedShot, ...]
    levels: tuple[float, ...]
    """Severity of each, 0…5."""


def random_burst(generator: np.random.Generator, pairs: int) -> TrainingBurst:
    """Return a burst of two sharp frames and `pairs` faults at two strengths each."""
    kinds = generator.choice(list(LEVELS), pairs, replace=False, p=_kind_chances())
    faults: list[tuple[str, float]] = [("blur", 0.0), ("blur", 0.0)]
    for kind in kinds:
        low = generator.uniform(0.5, 1.6) if generator.random() < 0.6 else generator.uniform(0.5, 3.5)
        reach = low + 1.5 if generator.random() < 0.5 else 5.0
        high = generator.uniform(low + 0.5, max(low + 0.6, min(5.0, reach)))
        faults += [(str(kind), low), (str(kind), high)]
    frames = []
    for kind, level in faults:
        quality = int(generator.integers(86, 97))
        fault = fault_at(kind, level)
        if kind == "jpeg":
            quality, fault = round(fault.strength), Fault("none")
        framing = Framing() if generator.random() < 0.2 else random_framing(generator)
        frames.append(FramedShot(framing, fault, quality, int(generator.integers(2**31))))
    return TrainingBurst(tuple(frames), tuple(level for _, level in faults))


def _kind_chances() -> Sequence[float]:
    weights = {"jpeg": 0.6, "enlarged": 0.6, "under": 0.7, "noise": 1.3, "over": 1.3}
    values = [weights.get(kind, 1.0) for kind in LEVELS]
    return [value / sum(values) for value in values]
