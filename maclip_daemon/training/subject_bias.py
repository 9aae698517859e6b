"""Subject bias: whether night, grey, foggy, high-key or minimal pictures are judged unlike people do.

Subjects are told by simple statistics of the pixels, so that no label is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maclip_daemon.training.degradations import Pixels

SUBJECTS = ("night", "high key", "black and white", "low contrast", "minimal")
_RESAMPLES = 1000
_FEWEST = 10  # photos; of fewer nothing is told


def subjects_of(pixels: Pixels) -> Mapping[str, bool]:
    """Return for each of `SUBJECTS` whether the photo is one."""
    small = np.asarray(Image.fromarray(pixels).resize((256, 256), Image.Resampling.BOX), dtype=np.float32)
    luma = small @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    steps = np.maximum(np.abs(np.diff(luma, axis=0))[:, :-1], np.abs(np.diff(luma, axis=1))[:-1])
    return {
        "night": float(luma.mean()) < 55,
        "high key": float(luma.mean()) > 185,
        "black and white": float(np.ptp(small, axis=2).mean()) < 6,
        "low contrast": float(luma.std()) < 32,
        "minimal": float((steps < 3).mean()) > 0.8,
    }


def bias_of_subjects(
    photos: Sequence[Pixels], scores: NDArray[np.float64], opinions: NDArray[np.float64]
) -> Iterator[tuple[str, int, float, float, float]]:
    """Yield each subject, its photos, and by how much their scores are above opinion, with 95 % intervals.

    Scores are first put on the scale of opinions by a straight line through all photos. Below zero: judged
    worse than people do.
    """
    slope, offset = np.polyfit(scores, opinions, 1)
    above = slope * scores + offset - opinions
    found = [subjects_of(photo) for photo in photos]
    generator = np.random.default_rng(0)
    for subject in SUBJECTS:
        mask = np.array([subjects[subject] for subjects in found])
        if mask.sum() < _FEWEST:
            continue
        chosen = above[mask]
        means = [chosen[generator.integers(0, len(chosen), len(chosen))].mean() for _ in range(_RESAMPLES)]
        low, high = np.quantile(means, (0.025, 0.975))
        yield subject, int(mask.sum()), float(chosen.mean()), float(low), float(high)
