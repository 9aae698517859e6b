"""Fusion fitting: how the overall and the detail cues of a large photo become its score.

Fitted on bursts of scenes that the tower has not learned, then frozen and stored with the weights: on learned
scenes it would trust tiles too much. Few scenes are left for it, so it is a line; a network fitted them by
heart. The target of a frame is the overall score of its scene's sharp frames, less what its fault costs.
Sharp photos keep the score that they have without tiles, on average.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor

from maclip_daemon.training.activation_cache import to_activations
from maclip_daemon.training.aligned_model import AlignedModel
from maclip_daemon.training.bursts.burst_cache import BurstCache

INPUTS = ("overall", "detail")
FUSION_PROTOCOL = "detail-8"
_COST_PER_LEVEL = 0.12
"""Of the score; five levels take a good photo (0.8) to a bad one (0.2)."""
_SCENE_SHARE = 0.6
"""How much of the differences between sharp scenes is kept: within a library they are partly taste."""
_STEPS = 1500


@dataclass(frozen=True)
class JudgedBursts:
    """The cues of all frames of some bursts."""

    inputs: NDArray[np.float64]
    """[B, F, 2], in the order of `INPUTS`."""
    levels: NDArray[np.float64]
    """[B, F]; frames 0 and 1 are sharp, then pairs of one fault, the weaker first."""


@dataclass(frozen=True)
class FittedFusion:
    """A frozen network from `INPUTS` to the score."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    layers: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]
    """Weight [out, in] and bias [out] of each; tanh between them."""

    def scores(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the scores of photos, [...], from their inputs [..., 2]."""
        values = (inputs - self.mean) / self.std
        for number, (weight, bias) in enumerate(self.layers):
            values = values @ weight.T + bias
            if number < len(self.layers) - 1:
                values = np.tanh(values)
        return np.asarray(values[..., 0])

    def as_metadata(self) -> dict[str, Any]:
        """Return what a checkpoint stores under `fusion`."""
        net = {
            "inputs": list(INPUTS),
            "mean": self.mean.round(6).tolist(),
            "std": self.std.round(6).tolist(),
            "layers": [
                {"weight": weight.round(6).tolist(), "bias": bias.round(6).tolist()}
                for weight, bias in self.layers
            ],
        }
        return {"version": 1, "protocol": FUSION_PROTOCOL, "metrics": {"maclip": {"score": net}}}


@torch.inference_mode()
def judge_bursts(model: AlignedModel, bursts: BurstCache) -> JudgedBursts:
    """Return the cues of all frames, tiles compared with their own prompts."""
    was_training = model.training
    model.eval()
    inputs = []
    for tiles, views in zip(bursts.tiles, bursts.views, strict=True):
        detail = model.cues_of(_features(model, tiles), detail=True).score.reshape(tiles.shape[:2])
        overall = model.cues_of(_features(model, views)).score.reshape(views.shape[:2])
        inputs.append(_inputs(overall.double(), detail.double()))
    model.train(was_training)
    return JudgedBursts(torch.stack(inputs).numpy(), bursts.levels.astype(np.float64))


def _features(model: AlignedModel, stored: NDArray[np.float16]) -> Tensor:
    flat = np.array(stored).reshape(-1, *stored.shape[2:])
    return torch.cat([model.features(to_activations(part)) for part in np.array_split(flat, 2)])


def _inputs(overall: Tensor, detail: Tensor) -> Tensor:
    """Return [F, 2] from the scores of views [F, 7], the whole last, and of tiles [F, T]."""
    return torch.stack([overall.mean(dim=1), detail.mean(dim=1)], dim=1)


def _targets(bursts: JudgedBursts, centre: float) -> NDArray[np.float64]:
    sharp = bursts.inputs[:, :2, 0].mean(axis=1, keepdims=True)
    base = centre + _SCENE_SHARE * (sharp - centre)
    return np.asarray(base - _COST_PER_LEVEL * bursts.levels)


def fit_fusion(bursts: JudgedBursts) -> FittedFusion:
    """Return the line that puts frames near their targets, and each burst in order."""
    flat = bursts.inputs.reshape(-1, len(INPUTS))
    mean, std = flat.mean(axis=0), flat.std(axis=0) + 1e-6
    values = torch.from_numpy((bursts.inputs - mean) / std)
    target = torch.from_numpy(_targets(bursts, float(bursts.inputs[:, :2, 0].mean())))
    levels = torch.from_numpy(bursts.levels)
    weight = torch.zeros(1, len(INPUTS), dtype=torch.float64, requires_grad=True)
    bias = target.mean().reshape(1).clone().requires_grad_()
    optimizer = torch.optim.Adam([weight, bias], lr=0.01)
    for _ in range(_STEPS):
        optimizer.zero_grad()
        found = (values @ weight.T + bias)[..., 0]
        loss = torch.nn.functional.smooth_l1_loss(found, target, beta=0.05)
        for better, worse in _ordered_frames(bursts.levels.shape[1]):
            margin = 0.06 * (levels[:, worse] - levels[:, better])
            loss = loss + 0.3 * torch.relu(margin - (found[:, better] - found[:, worse])).mean()
        loss = loss + 0.5 * (found[:, 0] - found[:, 1]).abs().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        sharp = (values[:, :2] @ weight.T + bias)[..., 0].mean()
        bias += target[:, :2].mean() - sharp
    return FittedFusion(mean, std, ((weight.detach().numpy(), bias.detach().numpy()),))


def _ordered_frames(frames: int) -> list[tuple[int, int]]:
    """Return the ordered pairs of a burst: sharp before faulty, weaker before stronger."""
    pairs = [(sharp, faulty) for sharp in (0, 1) for faulty in range(2, frames)]
    return pairs + [(weak, weak + 1) for weak in range(2, frames, 2)]


def cross_fitted(bursts: JudgedBursts) -> NDArray[np.float64]:
    """Return scores [B, F], each half of the bursts judged by the fusion of the other half."""
    scores = np.zeros(bursts.levels.shape)
    even = np.arange(len(scores)) % 2 == 0
    for half in (even, ~even):
        if half.any() and not half.all():
            other = fit_fusion(JudgedBursts(bursts.inputs[~half], bursts.levels[~half]))
            scores[half] = other.scores(bursts.inputs[half])
    return scores


def burst_report(scored: NDArray[np.float64], bursts: JudgedBursts) -> Iterator[str]:
    """Yield a line for each cue: pairs in order, the spread of two sharp frames, agreement with levels.

    `scored`: the fused scores of all frames, [B, F].
    """
    columns: Mapping[str, NDArray[np.float64]] = {
        "overall": bursts.inputs[..., 0],
        "detail": bursts.inputs[..., 1],
        "fused": scored,
    }
    mild = (bursts.levels > 0) & (bursts.levels < 1.5)
    for name, scores in columns.items():
        spread = float(np.abs(scores[:, 0] - scores[:, 1]).mean() / 1.128)
        yield (
            f"{name}: sharp ahead {_ahead(scores, bursts.levels > 0):.3f}, of mild faults "
            f"{_ahead(scores, mild):.3f}, weaker ahead {_in_order(scores):.3f}, spread {spread:.4f}, "
            f"SRCC with severity {spearmanr(-scores.ravel(), bursts.levels.ravel())[0]:.3f}"
        )


def _ahead(scores: NDArray[np.float64], which: NDArray[np.bool_]) -> float:
    if not which.any():
        return float("nan")
    found = [scores[:, sharp, None] > scores for sharp in (0, 1)]
    return float(np.mean([each[which].mean() for each in found]))


def _in_order(scores: NDArray[np.float64]) -> float:
    pairs: Sequence[tuple[int, int]] = list(itertools.pairwise(range(2, scores.shape[1])))[::2]
    return float(np.mean([scores[:, weak] > scores[:, strong] for weak, strong in pairs]))
