"""Focus and motion blur of a picture, from the blur of its edges.

Only the sharpest part counts: a blurred background is no fault, and neither is one that a panning camera
drew into lines. What is too blurred for the pixels of a picture is measured again at half its size.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maclip_daemon.photos.measures import edge_blur
from maclip_daemon.photos.measures.edge_blur import DIRECTIONS
from maclip_daemon.photos.measures.luma_patches import PATCH, LumaPatches, halved
from maclip_daemon.photos.measures.photo_measures import SURE, Measure

# Least edge energy of a patch: one step of 20 grey levels across it, A²·length / (2√π·σ).
_EDGE = 20.0**2 * PATCH / (2 * np.sqrt(np.pi) * 1.6)
_SHARPEST = 0.1  # share of the edges that are the sharpest part
_AT_LEAST = 3  # patches
# Length of a movement over its standard deviation: √12 for an even one, and what ladders of moved photos
# (`scripts/bench/run qualities`) show to be missing.
_BOX = 1.4 * np.sqrt(12)
_ENOUGH = 20  # patches with edges
# Edges of still photos differ by direction, too: σ² that is no movement, as a share and in px².
_UNEVEN, _LEAST_MOVED = 0.5, 0.3
# From here on edges change too little from one pixel to the next: pixels of the picture.
_BLURRED, _MOVED = 1.5, 6.0
_CLEARLY_MOVED = 8  # lengths of a movement by the blur beside it
_HALF_SURE = 0.5


@dataclass(frozen=True)
class Sharpness:
    """Where a picture is how sharp."""

    focus: Measure
    """Blur of the sharpest part: standard deviation in pixels at 100 %."""
    focus_at: tuple[float, float]
    """The middle of the sharpest part, from the left and from the top, 0 to 1."""
    motion: Measure
    """Length of a movement that even the sharpest part has, in pixels at 100 %."""
    motion_direction: float
    """Degrees anticlockwise from the right, 0 to 180."""
    blur: NDArray[np.float64]
    """Blur of each cell [rows, columns], in pixels at 100 %; NaN without edges."""


def sharpness_of(picture: LumaPatches, noise: float) -> Sharpness:
    """Return the sharpness. `noise`: in grey levels at 100 %.

    A movement that is not much longer than the blur beside it may be blur: little of its confidence is left.
    """
    found = _at_any_size(picture, noise)
    blur, moved = found.focus.value, found.motion
    clear = min(1.0, moved.value / (_CLEARLY_MOVED * blur)) if moved.value else 1.0
    return dataclasses.replace(found, motion=Measure(moved.value, moved.confidence * clear))


def _at_any_size(picture: LumaPatches, noise: float) -> Sharpness:
    """Return the sharpness; what is blurred or moved too much for this size as a smaller one shows it."""
    found = _at_this_size(picture, noise)
    blur, moved = found.focus, found.motion
    is_moved = moved.value * picture.scale > _MOVED and moved.value >= _CLEARLY_MOVED * blur.value
    is_blurred = blur.value * picture.scale > _BLURRED
    smaller = halved(picture) if is_moved or is_blurred else None
    if smaller is None:
        return found
    coarse = _at_any_size(smaller, noise)
    if is_blurred and coarse.focus.confidence >= SURE:
        found = dataclasses.replace(
            found, focus=Measure(max(blur.value, coarse.focus.value), blur.confidence)
        )
    if coarse.motion.confidence < _HALF_SURE:
        return found
    if is_moved and coarse.motion.value > moved.value:
        length, direction = coarse.motion.value, coarse.motion_direction
    else:
        length = moved.value if is_moved else min(moved.value, coarse.motion.value)
        direction = found.motion_direction
    motion = Measure(length, moved.confidence)
    return dataclasses.replace(found, motion=motion, motion_direction=direction)


def _at_this_size(picture: LumaPatches, noise: float) -> Sharpness:
    energy = edge_blur.energy_of(picture.patches(), noise * picture.scale)
    ratio = edge_blur.ratio_of(energy.before, energy.after)
    has_edge = energy.after > _EDGE
    sharpest = edge_blur.blur_of(_sharpest_by_direction(ratio, np.where(has_edge, energy.after, 0)))
    still, moved, angle = _fit(sharpest**2)
    to_photo = 1 / picture.scale
    any_edge, edges = has_edge.any(1), has_edge.sum(0)
    known = min(1.0, float(any_edge.sum()) / _ENOUGH)
    length = np.sqrt(max(0.0, moved - _UNEVEN * still - _LEAST_MOVED))
    blur = (edge_blur.blur_of(ratio) * energy.after).sum(1) / np.maximum(energy.after.sum(1), 1e-6)
    blur = np.where(any_edge, blur * to_photo, np.nan)
    return Sharpness(
        focus=Measure(to_photo * float(sharpest.min()), known),
        focus_at=_middle(blur, picture),
        motion=Measure(to_photo * float(_BOX * length), known * min(1.0, 2 * float(edges.min()) / _ENOUGH)),
        motion_direction=angle,
        blur=blur.reshape(picture.rows, picture.columns),
    )


def _sharpest_by_direction(ratio: NDArray[np.float64], energy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ratio in the sharpest patches of each direction; of strong edges more than of weak ones.

    `energy`: of the edges in each patch and direction, 0 for none. A direction without edges has the mean
    ratio of the others.
    """
    found = np.full(len(DIRECTIONS), np.nan)
    for direction in range(len(DIRECTIONS)):
        weight = np.sqrt(energy[:, direction])
        order = np.argsort(-ratio[:, direction])
        passed = np.cumsum(weight[order])
        if passed[-1] > 0:
            found[direction] = ratio[order, direction][np.searchsorted(passed, _SHARPEST * passed[-1])]
    known = found[~np.isnan(found)]
    rest = float(known.mean()) if len(known) else 1.0
    return np.where(np.isnan(found), rest, found)


def _fit(variance: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return σ² of still and of moving blur, and the movement's direction in degrees.

    A movement along φ adds m²·cos²(α − φ) to the variance of edges whose gradient points to α.
    """
    right, up, rising, falling = variance
    cosine, sine = (right - up) / 2, (rising - falling) / 2
    half = float(np.hypot(cosine, sine))
    angle = float(np.degrees(np.arctan2(sine, cosine)) / 2 % 180)
    return max(0.0, float(variance.mean()) - half), 2 * half, angle


def _middle(blur: NDArray[np.float64], picture: LumaPatches) -> tuple[float, float]:
    known = np.flatnonzero(~np.isnan(blur))
    if not len(known):
        return 0.5, 0.5
    order = known[np.argsort(blur[known])]
    chosen = order[: max(_AT_LEAST, round(_SHARPEST * len(known)))]
    height, width = picture.luma.shape
    top, left = np.median(picture.corners[chosen] + PATCH / 2, axis=0)
    return float(left / width), float(top / height)
