"""Rhythms along the rows of a picture: what comes back every so many pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maclip_daemon.photos.measures.luma_patches import Luma

GRID = np.linspace(0, 0.5, 4096)
"""Cycles a pixel."""
_LINES = 320  # rows that are looked at
_NEIGHBOURS = 40  # frequencies on each side
_SECOND_AT_LEAST, _FIRST_AT_LEAST = 0.3, 2.0  # grey levels that are added to differences
_TOGETHER = 32  # rows; with more, the processor's cache would not hold them
_MULTIPLIED = 8  # rows before a logarithm is taken; the product stays within 10^±24


def smoothness_rhythm(luma: Luma) -> NDArray[np.float64]:
    """Return how much each frequency of `GRID` stands out in the smoothness along the rows."""
    rows = np.ascontiguousarray(luma[:: max(1, luma.shape[0] // _LINES)])
    parts = [_smoothness(rows[start : start + _TOGETHER]) for start in range(0, len(rows), _TOGETHER)]
    return standing_out(np.sum(parts, 0) / len(rows))


def standing_out(profile: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how much each frequency of `GRID` stands out among its neighbours in a profile."""
    level = profile - profile.mean()
    spectrum = np.abs(np.fft.rfft(level * np.hanning(len(level))))
    standing_out = spectrum / (_local_median(spectrum) + 1e-9)
    return np.interp(GRID, np.fft.rfftfreq(len(level)), standing_out)


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
