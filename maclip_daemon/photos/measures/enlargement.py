"""Was a picture enlarged? Interpolation leaves a rhythm in the second differences of its pixels.

Pixels between the old ones are smoother than those near them; that repeats once for each pixel of the small
original (A. C. Gallagher, *Detection of linear and cubic interpolation in JPEG compressed images*, CRV 2005).
The same rhythm fits several factors, because frequencies above half a cycle a pixel are mirrored. Which one
it was shows in the spectrum: an enlarged picture has next to nothing beyond what its original could hold.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maclip_daemon.photos.measures.luma_patches import Luma, LumaPatches
from maclip_daemon.photos.measures.photo_measures import SMALLEST_ENLARGEMENT, Measure

_LINES = 320  # rows and columns that are looked at
_SHORTEST = 256  # pixels of a row; less shows no rhythm
_OUTSTANDING = 5.0  # times the median of the neighbouring frequencies, in rows and columns
_SURE = 10.0
_NEIGHBOURS = 40
_JPEG_WIDTH = 0.004  # around the rhythm of JPEG's blocks, in cycles a pixel
_LOWEST, _HIGHEST = 0.04, 0.485  # cycles a pixel
_LEAST_BLUR = 0.12  # px for each time of enlargement; what interpolation does to the sharpest detail
_EMPTY, _NEARLY_EMPTY = 0.055, 0.13  # power beyond the limit of the small original, by that within
_WINDOW = 256  # pixels of a piece of a row whose spectrum is taken
_GRID = np.linspace(0, 0.5, 4096)  # cycles a pixel
_SECOND_AT_LEAST, _FIRST_AT_LEAST = 0.3, 2.0  # grey levels that are added to differences
_TOGETHER = 32  # rows; with more, the processor's cache would not hold them
_MULTIPLIED = 8  # rows before a logarithm is taken; the product stays within 10^±24


def factor_of(picture: LumaPatches, blur: float) -> Measure:
    """Return how many times the photo was enlarged, 1 where nothing shows that it was.

    `blur`: that of its sharpest part, in pixels at 100 %. Below about 1 / scale nothing shows.
    """
    if min(picture.luma.shape) < _SHORTEST:
        return Measure(1.0, 0.0)
    rhythm = np.sqrt(_rhythm(picture.luma) * _rhythm(picture.luma.T))
    rhythm[(_GRID < _LOWEST) | (_GRID > _HIGHEST)] = 0
    for harmonic in range(1, 5):
        rhythm[np.abs(_GRID - harmonic / (8 * picture.scale)) < _JPEG_WIDTH] = 0
    return _best(picture, rhythm, blur)


def _best(picture: LumaPatches, rhythm: NDArray[np.float64], blur: float) -> Measure:
    """Return the factor that rhythm, blur and spectrum agree on."""
    found: list[tuple[float, float]] = []
    for place in _peaks(rhythm):
        frequency, strength = float(_GRID[place]), float(rhythm[place])
        for cycles in (frequency, 1 - frequency):
            factor = 1 / cycles / picture.scale
            if factor >= SMALLEST_ENLARGEMENT and factor * _LEAST_BLUR <= blur:
                found.append((factor, min(1.0, strength / _SURE)))
    if not found:
        return Measure(1.0, 0.5)
    power = _power(picture.luma) + _power(picture.luma.T)
    beyond = [_share_beyond(power, factor * picture.scale) for factor, _ in found]
    empty = [each for each, share in zip(found, beyond, strict=True) if share <= _EMPTY]
    if empty:
        return Measure(*max(empty))
    least = int(np.argmin(beyond))
    return Measure(*found[least]) if beyond[least] <= _NEARLY_EMPTY else Measure(1.0, 0.5)


def _share_beyond(power: NDArray[np.float64], factor: float) -> float:
    """Return the mean power just beyond the limit of a picture so enlarged, by that just within."""
    cycles = np.fft.rfftfreq(_WINDOW)
    limit = 0.5 / factor
    within = power[(cycles > 0.6 * limit) & (cycles < 0.9 * limit)]
    outside = power[(cycles > min(1.2 * limit, 0.42)) & (cycles < min(1.7 * limit, 0.5))]
    return float(outside.mean() / (within.mean() + 1e-9)) if len(within) else 1.0


def _power(luma: Luma) -> NDArray[np.float64]:
    """Return the mean spectrum of pieces of rows."""
    rows = luma[:: max(1, luma.shape[0] // (_LINES // 2))].astype(np.float32)
    pieces = np.lib.stride_tricks.sliding_window_view(rows, _WINDOW, axis=1)[:, :: _WINDOW // 2]
    level = pieces - pieces.mean(-1, keepdims=True)
    level *= np.hanning(_WINDOW).astype(np.float32)
    spectrum = np.fft.rfft(level)
    found: NDArray[np.float64] = (spectrum.real**2 + spectrum.imag**2).mean((0, 1), dtype=np.float64)
    return found


def _peaks(rhythm: NDArray[np.float64]) -> list[int]:
    """Return where the rhythm stands out, and not much less than where it does most."""
    least = max(_OUTSTANDING, 0.4 * float(rhythm.max()))
    inner = rhythm[1:-1]
    is_peak = (inner >= least) & (inner >= rhythm[:-2]) & (inner > rhythm[2:])
    return [int(each) + 1 for each in np.flatnonzero(is_peak)]


def _rhythm(luma: Luma) -> NDArray[np.float64]:
    """Return how much each frequency of `_GRID` stands out among its neighbours along the rows."""
    rows = np.ascontiguousarray(luma[:: max(1, luma.shape[0] // _LINES)])
    parts = [_smoothness(rows[start : start + _TOGETHER]) for start in range(0, len(rows), _TOGETHER)]
    profile = np.sum(parts, 0) / len(rows)
    profile -= profile.mean()
    spectrum = np.abs(np.fft.rfft(profile * np.hanning(len(profile))))
    standing_out = spectrum / (_local_median(spectrum) + 1e-9)
    return np.interp(_GRID, np.fft.rfftfreq(len(profile)), standing_out)


def _smoothness(rows: Luma) -> NDArray[np.float32]:
    """Return the logarithm of second by first differences along the rows, summed over them."""
    light = rows.astype(np.float32)
    step = light[:, 1:] - light[:, :-1]
    second = np.abs(step[:, 1:] - step[:, :-1]) + np.float32(_SECOND_AT_LEAST)
    first = np.abs(step[:, 1:] + step[:, :-1]) + np.float32(_FIRST_AT_LEAST)
    second /= first
    groups = [second[start : start + _MULTIPLIED].prod(0) for start in range(0, len(rows), _MULTIPLIED)]
    found: NDArray[np.float32] = np.log(groups).sum(0)
    return found


def _local_median(spectrum: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(spectrum, _NEIGHBOURS, mode="reflect")
    step = _NEIGHBOURS // 4
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _NEIGHBOURS + 1)[::step]
    found: NDArray[np.float64] = np.repeat(np.median(windows, axis=1), step)[: len(spectrum)]
    return found
