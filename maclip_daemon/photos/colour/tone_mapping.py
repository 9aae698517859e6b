"""RGB of other encodings becomes sRGB by arithmetic; HDR (PQ, HLG) is tone-mapped.

PQ and HLG: ITU-R BT.2100-2, tables 4 and 5; HLG is shown on its nominal display of 1000 cd/m². Reference
white lies at 203 cd/m² (ITU-R BT.2408) and becomes sRGB's white. Brighter parts are rolled off by the EETF of
ITU-R BT.2390-11 section 5.4, applied to the largest of R, G and B, so that hues stay. Its source peak is the
picture's own: where nothing is brighter than white, nothing is rolled off.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maclip_daemon.photos.colour.encodings import (
    Encoding,
    Floats,
    linear_of_srgb,
    srgb_bytes,
    to_srgb_matrix,
)

WHITE = 203.0  # cd/m²
_PQ_PEAK, _HLG_PEAK, _HLG_GAMMA = 10_000.0, 1000.0, 1.2
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_HLG_A, _HLG_B, _HLG_C = 0.17883277, 0.28466892, 0.55991073
_BT2020_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)
_BRIGHTEST = 99.99  # percentile that counts as the picture's peak: single hot pixels do not
_STRIP_PIXELS = 1 << 19
_ROLL_OFF_STEPS = 4096


def to_srgb(codes: NDArray[Any], bits: int, encoding: Encoding) -> Image.Image:
    """Return the sRGB image of RGB codes [height, width, 3] with so many bits."""
    codes = codes[..., :3]
    light_of_code = _light(np.linspace(0, 1, 1 << bits, dtype=np.float32), encoding)
    matrix = to_srgb_matrix(encoding.primaries).T
    roll_off = _roll_off(codes, light_of_code, encoding) if encoding.is_hdr else None
    pixels = np.empty(codes.shape, np.uint8)
    rows = max(1, _STRIP_PIXELS // max(1, codes.shape[1]))
    for top in range(0, len(codes), rows):
        light = _displayed(light_of_code[codes[top : top + rows]], encoding)
        if roll_off is not None:
            peak = light.max(axis=-1, keepdims=True)
            light = light * np.interp(peak, *roll_off).astype(np.float32) / np.float32(WHITE)
        pixels[top : top + rows] = srgb_bytes(light @ matrix)
    return Image.fromarray(pixels)


def _light(values: Floats, encoding: Encoding) -> Floats:
    """Return the light of values from 0 to 1: in cd/m² for PQ, of the scene for HLG, else 0 to 1."""
    if encoding.curve == "pq":
        return nits_of_pq(values)
    if encoding.curve == "hlg":
        low = values**2 / 3
        high = (np.exp((values - _HLG_C) / _HLG_A) + _HLG_B) / 12
        scene: Floats = np.where(values <= 0.5, low, high).astype(np.float32)
        return scene
    if encoding.curve == "srgb":
        return linear_of_srgb(values)
    powered: Floats = (values ** np.float32(encoding.curve)).astype(np.float32)
    return powered


def _displayed(light: Floats, encoding: Encoding) -> Floats:
    """Return the light of the display; only HLG's differs from `_light` (the system gamma)."""
    if encoding.curve != "hlg":
        return light
    luminance = (light @ _BT2020_LUMINANCE)[..., None]
    shown: Floats = (_HLG_PEAK * light * np.maximum(luminance, 1e-6) ** (_HLG_GAMMA - 1)).astype(np.float32)
    return shown


def _roll_off(codes: NDArray[Any], light_of_code: Floats, encoding: Encoding) -> tuple[Floats, Floats]:
    """Return light in cd/m², and the factor by which light as bright as that is dimmed."""
    every = max(1, int(np.sqrt(codes.shape[0] * codes.shape[1] / _STRIP_PIXELS)))
    light = _displayed(light_of_code[codes[::every, ::every]], encoding).max(axis=-1)
    peak = float(np.clip(np.percentile(light, _BRIGHTEST), WHITE, _PQ_PEAK))
    source = np.linspace(1e-4, 1, _ROLL_OFF_STEPS, dtype=np.float32)
    nits = nits_of_pq(source)
    brightest, white = pq_of_nits(peak), pq_of_nits(WHITE)
    mapped = nits_of_pq(_eetf(np.minimum(source / brightest, 1), white / brightest) * brightest)
    return nits, np.where(nits > 0, mapped / np.maximum(nits, 1e-9), 1).astype(np.float32)


def _eetf(source: Floats, target_peak: float) -> Floats:
    """Return BT.2390's electro-electrical transfer function; PQ values relative to the source's peak."""
    if target_peak >= 1:
        return source
    knee = 1.5 * target_peak - 0.5
    t = np.clip((source - knee) / (1 - knee), 0, 1)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (-2 * t**3 + 3 * t**2) * target_peak
    )
    return np.where(source < knee, source, spline).astype(np.float32)


def nits_of_pq(values: Floats) -> Floats:
    """Return cd/m² of PQ values from 0 to 1."""
    root = np.asarray(values, np.float64) ** (1 / _M2)
    light = (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1)
    return (_PQ_PEAK * light).astype(np.float32)


def pq_of_nits(nits: float) -> float:
    """Return the PQ value of cd/m²."""
    powered = (nits / _PQ_PEAK) ** _M1
    return float(((_C1 + _C2 * powered) / (1 + _C3 * powered)) ** _M2)
