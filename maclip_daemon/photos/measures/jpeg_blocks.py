"""JPEG damage: how much the borders of its blocks of 8×8 pixels stand out (`iqa.luma_steps`)."""

from __future__ import annotations

import numpy as np

from maclip_daemon.iqa.luma_steps import border_excess
from maclip_daemon.photos.measures.luma_patches import LumaPatches
from maclip_daemon.photos.measures.photo_measures import Measure

_BLOCK = 8  # pixels of the photo itself


def blocking_of(picture: LumaPatches) -> Measure:
    """Return how much more neighbours differ across borders of blocks than within, in per cent."""
    period = _BLOCK * picture.scale
    whole = round(period)
    if whole < 3 or abs(period - whole) > 0.001:
        return Measure(0.0, 0.0)
    return Measure(max(0.0, float(np.mean(border_excess(picture.luma, whole)))), 1.0)
