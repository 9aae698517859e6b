"""Training report: how well a model in training agrees with the opinions of the held-out photos."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from maclip_daemon.training.activation_cache import to_activations
from maclip_daemon.training.aligned_model import AlignedModel
from maclip_daemon.training.opinions.opinion_tuning import RatedPhotos, rank_correlation

CUE_NAMES = ("score", "q_sim", "q_mag", "good", "sharpness", "edges", "resolution", "noise_free")
_ACTIVATIONS_AT_ONCE = 100


@torch.inference_mode()
def judge_activations(
    model: AlignedModel, stored: NDArray[np.float16], starts: list[int]
) -> NDArray[np.float64]:
    """Return [N, 8]: `CUE_NAMES` of each photo, means over its views, from stored activations [V, h, w, C].

    `starts`: where each photo's views begin, and the end.
    """
    was_training = model.training
    model.eval()
    features = torch.cat(
        [
            model.features(to_activations(np.array(stored[start : start + _ACTIVATIONS_AT_ONCE])))
            for start in range(0, len(stored), _ACTIVATIONS_AT_ONCE)
        ]
    )
    model.train(was_training)
    columns = model.cues_of(features).as_columns().double().numpy()
    return np.array([columns[start:stop].mean(axis=0) for start, stop in itertools.pairwise(starts)])


def agreement(judged: NDArray[np.float64], rated: RatedPhotos) -> Iterator[str]:
    """Yield a line for each cue: SRCC over all photos and over each subset."""
    for column, name in enumerate(CUE_NAMES):
        found = [f"all {rank_correlation(judged[:, column], rated.opinions):.3f}"]
        for subset in sorted(set(rated.subsets)):
            mask = rated.subsets == subset
            found.append(f"{subset} {rank_correlation(judged[mask, column], rated.opinions[mask]):.3f}")
        yield f"{name} {' '.join(found)}"
