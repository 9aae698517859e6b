"""JPEG damage: the borders of its blocks of 8×8 pixels.

JPEG codes each block apart. The stronger it compresses, the more neighbours differ across a border than
within a block, most visibly in calm parts. (The principle of Z. Wang, H. R. Sheikh and A. C. Bovik,
*No-reference perceptual quality assessment of JPEG compressed images*, ICIP 2002.) Whether a part is calm is
told by the pixels beside a border, not by the step across it: the strongest compression makes large steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maclip_daemon.photos.measures.luma_patches import Luma, LumaPatches, apart
from maclip_daemon.photos.measures.photo_measures import Measure

_BLOCK = 8  # pixels of the photo itself
_CALM = 16  # grey levels; where neighbours differ by more there is an edge
_LARGEST = 64  # grey levels; a larger step counts as one of this
_LINES = 160  # rows and columns that are looked at


def blocking_of(picture: LumaPatches) -> Measure:
    """Return how much more neighbours differ across borders of blocks than within, in per cent."""
    period = _BLOCK * picture.scale
    whole = round(period)
    if whole < 3 or abs(period - whole) > 0.001:
        return Measure(0.0, 0.0)
    luma = picture.luma
    found = [_excess(luma, whole), _excess(luma.T, whole)]
    return Measure(max(0.0, float(np.mean(found))), 1.0)


def _excess(luma: Luma, period: int) -> float:
    rows = np.ascontiguousarray(luma[:: max(1, luma.shape[0] // _LINES)])
    change = apart(rows[:, 1:], rows[:, :-1])
    is_calm = change < _CALM
    is_amid_calm = is_calm[:, :-2] & is_calm[:, 2:]
    steps = np.minimum(change[:, 1:-1], _LARGEST) * is_amid_calm
    sums, counts = steps.sum(0, dtype=np.uint16), is_amid_calm.sum(0, dtype=np.uint16)
    whole = len(sums) // period * period
    by_phase = sums[:whole].reshape(-1, period).sum(0) / np.maximum(
        counts[:whole].reshape(-1, period).sum(0), 1
    )
    return _standing_out(by_phase)


def _standing_out(by_phase: NDArray[np.float64]) -> float:
    border = int(by_phase.argmax())
    others = np.delete(by_phase, border)
    return 100 * float((by_phase[border] - others.max()) / (others.mean() + 0.25))
