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
from maclip_daemon.photos.measures.profile_rhythms import GRID, smoothness_rhythm, standing_out

_SHORTEST = 256  # pixels of a row; less shows no rhythm
_OUTSTANDING = 5.0  # times the median of the neighbouring frequencies, in rows and columns
_SURE = 10.0
_FAIRLY_SURE = 0.7  # of that
_FEWEST_CYCLES = 24  # along the short side; slower changes stand out in any picture
_JPEG_WIDTH = 0.004  # around the rhythm of JPEG's blocks, in cycles a pixel
_LOWEST, _HIGHEST = 0.08, 0.485  # cycles a pixel
# px of blur for each time of enlargement: the least that interpolation leaves, and what it leaves of most.
_LEAST_BLUR, _USUAL_BLUR = 0.05, 0.19
# Power beyond the limit of the small original, by that within. Bicubic interpolation leaves 0.03, bilinear
# 0.05 to 0.14; a soft picture has 0.04 and more beyond the limit of twice its factor.
_EMPTY, _BILINEAR, _NEARLY_EMPTY = 0.043, 0.076, 0.14
_BEYOND, _MOST_BEYOND = 0.16, 0.2  # the same with what is at all frequencies; more for a sure rhythm
_FLOORS = (0.3, 0.35, 0.4, 0.44)  # cycles a pixel, from where only that may be left
_LINES = 160  # rows and columns whose spectrum is taken
_WINDOW = 256  # pixels of a piece of a row whose spectrum is taken


def factor_of(picture: LumaPatches, blur: float) -> Measure:
    """Return how many times the photo was enlarged, 1 where nothing shows that it was.

    `blur`: that of its sharpest part, in pixels at 100 %. Below about 1 / scale nothing shows.
    """
    if min(picture.luma.shape) < _SHORTEST:
        return Measure(1.0, 0.0)
    rhythm = np.sqrt(smoothness_rhythm(picture.luma) * smoothness_rhythm(picture.luma.T))
    rhythm[(GRID < _LOWEST) | (GRID > _HIGHEST)] = 0
    for harmonic in range(1, 5):
        rhythm[np.abs(GRID - harmonic / (8 * picture.scale)) < _JPEG_WIDTH] = 0
    places = _peaks(rhythm)
    if not places:
        return Measure(1.0, 0.5)
    brightness = np.sqrt(np.prod([standing_out(picture.luma.mean(axis)) for axis in (0, 1)], axis=0))
    fewest = _FEWEST_CYCLES / min(picture.luma.shape)
    found = [
        (float(GRID[place]), min(1.0, float(rhythm[place]) / _SURE))
        for place in places
        if not _is_pattern(brightness, place, fewest)
    ]
    return _best(picture, found, blur)


def _is_pattern(brightness: NDArray[np.float64], place: int, fewest: float) -> bool:
    """Return whether a rhythm is a multiple of that of something regular: a facade, a chart, a print.

    `brightness`: how much each frequency stands out in the picture itself. Interpolation may leave its own
    rhythm there, but no slower one. `fewest`: cycles a pixel of the slowest that is looked at.
    """
    slower = [place // times for times in (2, 3, 4) if GRID[place // times] >= fewest]
    return any(float(brightness[each - 2 : each + 3].max()) >= _OUTSTANDING for each in slower)


def _best(picture: LumaPatches, rhythms: list[tuple[float, float]], blur: float) -> Measure:
    """Return the factor that rhythm, blur and spectrum agree on. `rhythms`: cycles a pixel, and how sure."""
    found = [
        (1 / cycles / picture.scale, sure)
        for frequency, sure in rhythms
        for cycles in (frequency, 1 - frequency)
    ]
    found = [each for each in found if each[0] >= SMALLEST_ENLARGEMENT and each[0] * _LEAST_BLUR <= blur]
    if not found:
        return Measure(1.0, 0.5)
    power = _power(picture.luma) + _power(picture.luma.T)
    agreeing, nearly = [], []
    for factor, sure in found:
        whole, signal = _beyond(power, factor * picture.scale)
        is_empty = signal <= _EMPTY and whole <= (_MOST_BEYOND if sure >= 1 else _BEYOND)
        is_bilinear = signal <= _BILINEAR and whole <= _BEYOND and blur >= _USUAL_BLUR * factor
        if is_empty or is_bilinear:
            agreeing.append((factor, sure))
        elif signal <= _NEARLY_EMPTY and whole <= _BEYOND and sure >= _FAIRLY_SURE:
            nearly.append((signal, factor, sure))
    if agreeing:
        return Measure(*max(agreeing))
    return Measure(*min(nearly)[1:]) if nearly else Measure(1.0, 0.5)


def _beyond(power: NDArray[np.float64], factor: float) -> tuple[float, float]:
    """Return the mean power just beyond the limit of a picture so enlarged, by that just within.

    The second is without what rounding and JPEG leave at all frequencies: in a soft picture, that is all that
    is left at the highest ones.
    """
    cycles = np.fft.rfftfreq(_WINDOW)
    limit = 0.5 / factor
    within = power[(cycles > 0.6 * limit) & (cycles < 0.9 * limit)]
    outside = power[(cycles > min(1.2 * limit, 0.42)) & (cycles < min(1.7 * limit, 0.5))]
    floor = min(float(power[(cycles > low) & (cycles < low + 0.05)].mean()) for low in _FLOORS)
    whole = float(outside.mean() / (within.mean() + 1e-9))
    return whole, float((outside.mean() - floor) / max(within.mean() - floor, 1e-9))


def _power(luma: Luma) -> NDArray[np.float64]:
    """Return the mean spectrum of pieces of rows."""
    rows = luma[:: max(1, luma.shape[0] // _LINES)].astype(np.float32)
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
