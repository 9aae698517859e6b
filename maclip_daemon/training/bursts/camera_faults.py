"""Camera faults: missed focus, motion, noise and wrong exposure, made in linear light at full size.

Sizes are those of a photo 6000 pixels long, so that a fault is as visible in a small photo as in a large one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

REFERENCE_EDGE = 6000
"""Pixels; the long edge in which sizes of faults are told."""
_TO_LINEAR = torch.from_numpy(
    np.where(
        np.arange(256) / 255 <= 0.04045,
        np.arange(256) / 255 / 12.92,
        ((np.arange(256) / 255 + 0.055) / 1.055) ** 2.4,
    ).astype(np.float32)
)
_FEW_TAPS = 36  # of a kernel; up to these, sums of shifted pictures are fastest
_STEPS = 1 << 16  # of linear light; the darkest is 0.05 of a grey level
_LIGHT = np.arange(_STEPS + 1) / _STEPS
_TO_SRGB = torch.from_numpy(
    (255 * np.where(_LIGHT <= 0.0031308, 12.92 * _LIGHT, 1.055 * _LIGHT ** (1 / 2.4) - 0.055)).astype(
        np.float32
    )
)


@dataclass(frozen=True)
class Fault:
    """One fault of one frame."""

    kind: str
    """One of `FAULTS`, or `none`."""
    strength: float = 0.0
    """σ, radius or length in pixels of a 6000-pixel frame; grey levels for noise; stops for exposure."""


def to_linear(pixels: Tensor) -> Tensor:
    """Return linear light 0…1, fp32, of sRGB bytes; any shape."""
    return _TO_LINEAR[pixels.int()]


def to_srgb(linear: Tensor) -> Tensor:
    """Return sRGB grey levels 0…255, fp32, of linear light; values outside are clipped."""
    return _TO_SRGB[linear.clamp(0, 1).mul(_STEPS).round_().int()]


def apply_fault(pixels: NDArray[np.uint8], fault: Fault, scale: float, seed: int) -> NDArray[np.uint8]:
    """Return frames [N, H, W, 3] with one fault; the same seed makes the same direction, path and noise.

    `scale`: pixels of these frames in a pixel of a 6000-pixel frame. Raises `KeyError` for an unknown kind.
    """
    if fault.kind == "none" or fault.strength == 0:
        return pixels
    frames = torch.from_numpy(pixels.copy())
    generator = np.random.default_rng(seed)
    if fault.kind == "noise":
        levels = _add_noise(frames.float(), fault.strength, scale, generator)
    else:
        light = to_linear(frames).movedim(-1, 1)
        levels = to_srgb(FAULTS[fault.kind](light, fault.strength, scale, generator)).movedim(1, -1)
        if fault.kind == "exposure" and fault.strength < 0:
            levels = levels + 0.8 * torch.from_numpy(generator.standard_normal(levels.shape, np.float32))
    return np.asarray(levels.round_().clamp_(0, 255).to(torch.uint8).numpy())


def _add_noise(levels: Tensor, strength: float, scale: float, generator: np.random.Generator) -> Tensor:
    """Return grey levels with noise as of a high ISO: grain, and a third of it in colour; less in highlights.

    Smaller frames have less of it, as if they had been reduced.
    """
    shot = (levels / 255 * -0.4 + 1.15).clamp(min=0.6)
    grain = torch.from_numpy(generator.standard_normal((*levels.shape[:-1], 1), np.float32))
    colour = torch.from_numpy(generator.standard_normal(levels.shape, np.float32))
    noise: Tensor = strength * min(1.0, scale**0.5) * shot * (0.8 * grain + 0.6 * colour)
    return levels + noise


def _blur(light: Tensor, sigma: float, scale: float, _: np.random.Generator) -> Tensor:
    sigma *= scale
    reach = max(1, int(np.ceil(3.5 * sigma)))
    line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2).astype(np.float32)
    kernel = torch.from_numpy(line / line.sum())
    return _convolved(_convolved(light, kernel[:, None]), kernel[None, :])


def _focus(light: Tensor, radius: float, scale: float, _: np.random.Generator) -> Tensor:
    radius *= scale
    return _convolved(light, _drawn([(0.0, 0.0)], radius))


def _motion(light: Tensor, length: float, scale: float, generator: np.random.Generator) -> Tensor:
    angle, half = generator.uniform(0, np.pi), length * scale / 2
    steps = np.linspace(-half, half, max(3, int(4 * half) | 1))
    return _convolved(light, _drawn([(s * np.sin(angle), s * np.cos(angle)) for s in steps], 0.5))


def _shake(light: Tensor, length: float, scale: float, generator: np.random.Generator) -> Tensor:
    """Blur along a path that turns, as of a hand that trembles; `length` is its longer extent."""
    turns = generator.normal(0, 0.35, 24).cumsum()
    path = np.stack([np.sin(turns), np.cos(turns)], axis=1).cumsum(axis=0)
    path -= (path.max(axis=0) + path.min(axis=0)) / 2
    path *= length * scale / max(1e-6, float(np.ptp(path, axis=0).max()))
    dense = np.stack(
        [np.interp(np.linspace(0, 23, 120), np.arange(24), path[:, axis]) for axis in (0, 1)], axis=1
    )
    return _convolved(light, _drawn([(float(y), float(x)) for y, x in dense], 0.5))


def _drawn(points: list[tuple[float, float]], radius: float) -> Tensor:
    """Return a kernel of sum 1: soft-edged discs at these points, rows first, in pixels from the middle."""
    reach = int(np.ceil(max(max(abs(y), abs(x)) for y, x in points) + radius + 1))
    axis = np.arange(-reach, reach + 1, dtype=np.float32)
    kernel = np.zeros((len(axis), len(axis)), np.float32)
    for y, x in points:
        kernel += np.clip(radius + 0.5 - np.hypot(axis[:, None] - y, axis[None, :] - x), 0, 1)
    return torch.from_numpy(kernel / kernel.sum())


def _convolved(light: Tensor, kernel: Tensor) -> Tensor:
    rows, columns = kernel.shape
    padded = torch.nn.functional.pad(
        light, (columns // 2, columns // 2, rows // 2, rows // 2), mode="replicate"
    )
    height, width = light.shape[-2:]
    if rows * columns <= _FEW_TAPS:
        total = torch.zeros_like(light)
        for row in range(rows):
            for column in range(columns):
                shifted = padded[..., row : row + height, column : column + width]
                total.add_(shifted, alpha=float(kernel[row, column]))
        return total
    # A large kernel is faster as a product of spectra; a correlation, so the kernel is turned around.
    size = padded.shape[-2:]
    spectrum = torch.fft.rfft2(padded) * torch.fft.rfft2(kernel.flip(0, 1), s=size)
    found: Tensor = torch.fft.irfft2(spectrum, s=size)
    return found[..., rows - 1 :, columns - 1 :].contiguous()


def _exposure(light: Tensor, stops: float, _: float, __: np.random.Generator) -> Tensor:
    return light * float(2.0**stops)


def _enlarged(light: Tensor, factor: float, scale: float, _: np.random.Generator) -> Tensor:
    height, width = light.shape[-2:]
    factor = max(1.0, factor * scale)
    small: Tensor = torch.nn.functional.interpolate(
        light, size=(round(height / factor), round(width / factor)), mode="bicubic", antialias=True
    )
    enlarged: Tensor = torch.nn.functional.interpolate(small, size=(height, width), mode="bicubic")
    return enlarged


FAULTS: dict[str, Callable[[Tensor, float, float, np.random.Generator], Tensor]] = {
    "blur": _blur,
    "focus": _focus,
    "motion": _motion,
    "shake": _shake,
    "exposure": _exposure,
    "enlarged": _enlarged,
}
"""Faults in linear light; `noise` is added to grey levels, and `jpeg` is made when a frame is stored."""

LEVELS: dict[str, tuple[float, ...]] = {
    "blur": (0, 0.7, 1.5, 3, 5, 9),
    "focus": (0, 1.5, 3, 6, 10, 18),
    "motion": (0, 3.5, 7, 14, 25, 45),
    "shake": (0, 4, 8, 16, 28, 50),
    "noise": (0, 4, 8, 14, 24, 40),
    "enlarged": (1, 1.7, 2.5, 4, 6, 10),
    "over": (0, 0.7, 1.2, 1.8, 2.5, 3.3),
    "under": (0, -0.8, -1.5, -2.3, -3.1, -4.0),
    "jpeg": (92, 62, 42, 26, 15, 7),
}
"""Strengths of levels 0 (untouched) to 5 (severe); `over` and `under` are exposure, `jpeg` is a quality."""


def fault_at(kind: str, level: float) -> Fault:
    """Return the fault of a kind of `LEVELS` at a level 0…5."""
    strength = float(np.interp(level, range(6), LEVELS[kind]))
    return Fault("exposure" if kind in ("over", "under") else kind, strength)
