"""Fusion fitting: how the overall cue and both judgements of the tiles become the score of a large photo.

Fitted on bursts of scenes that no tower has learned, then frozen and stored with the weights: on learned
scenes it would trust tiles too much. Few scenes are left for it, so it is a line; a network fitted them by
heart. Its direction is that of a logistic regression over pairs of frames of one scene (Bradley and Terry
1952): the chance that the better frame is ahead. Its scale and its place are those of a target: the overall
score of the scene's sharp frames, less what a fault costs. Sharp photos keep the score that they have without
tiles, on average. What blocks of JPEG cost is a number of the recipe: few frames of the bursts have any.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import spearmanr
from torch import Tensor, nn

from maclip_daemon.iqa.fusion import TILE_BLOCKS
from maclip_daemon.iqa.luma_steps import tile_blocks
from maclip_daemon.training.activation_cache import run_frozen, to_activations
from maclip_daemon.training.aligned_model import AlignedModel
from maclip_daemon.training.bursts.burst_cache import BurstCache, as_views

INPUTS = ("overall", "tile_mean", "local_mean", TILE_BLOCKS)
_CUES = 3
"""The first of `INPUTS`, whose weights are fitted."""
FUSION_PROTOCOL = "detail-8"
_COST_PER_LEVEL = 0.12
"""Of the score; five levels take a good photo (0.8) to a bad one (0.2)."""
_SCENE_SHARE = 0.6
"""How much of the differences between sharp scenes is kept: within a library they are partly taste."""
_RIDGE = 1e-3
"""Of the direction, in standard deviations of a difference; of seven the best, with one burst left out."""


@dataclass(frozen=True)
class JudgedBursts:
    """The cues of all frames of some bursts."""

    inputs: NDArray[np.float64]
    """[B, F, 4], in the order of `INPUTS`."""
    levels: NDArray[np.float64]
    """[B, F]; frames 0 and 1 are sharp, then pairs of one fault, the weaker first."""


@dataclass(frozen=True)
class FittedFusion:
    """A frozen line from `INPUTS` to the score."""

    weights: NDArray[np.float64]
    """[4]"""
    bias: float

    def scores(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the scores of photos, [...], from their inputs [..., 4]."""
        return np.asarray(inputs @ self.weights + self.bias)

    def as_metadata(self) -> dict[str, Any]:
        """Return what a checkpoint stores under `fusion`: first one detail cue of both, then the score."""
        overall, *of_tiles, blocks = (float(weight) for weight in self.weights)
        together = sum(of_tiles)
        networks = {
            "detail": _line(INPUTS[1:_CUES], [weight / together for weight in of_tiles], 0.0),
            "score": _line(("overall", "detail", TILE_BLOCKS), [overall, together, blocks], self.bias),
        }
        return {"version": 3, "protocol": FUSION_PROTOCOL, "metrics": {"maclip": networks}}


def _line(inputs: Sequence[str], weights: Sequence[float], bias: float) -> dict[str, Any]:
    layer = {"weight": [[round(weight, 6) for weight in weights]], "bias": [round(bias, 6)]}
    count = len(inputs)
    return {"inputs": list(inputs), "mean": [0.0] * count, "std": [1.0] * count, "layers": [layer]}


@dataclass(frozen=True)
class BurstTowers:
    """What judges bursts: the image tower in two parts, and the local tower."""

    frozen: nn.Module
    """The image tower's frozen blocks."""
    upper: AlignedModel
    """The rest of it."""
    local: AlignedModel

    @torch.inference_mode()
    def judge(self, bursts: BurstCache) -> JudgedBursts:
        """Return the cues of all frames of bursts whose tiles are pixels."""
        was_training = self.upper.training
        self.upper.eval()
        inputs = []
        for tiles, views in zip(bursts.tiles, bursts.views, strict=True):
            overall = self.upper.cues_of(_features(self.upper, views)).score.reshape(views.shape[:2])
            detail, local = zip(*(self._judge_tiles(part) for part in tiles), strict=True)
            blocks = torch.tensor([tile_blocks(np.asarray(part)) for part in tiles])
            frames = (overall.mean(dim=1), torch.stack(detail), torch.stack(local), blocks)
            inputs.append(torch.stack([cue.double() for cue in frames], dim=1))
        self.upper.train(was_training)
        return JudgedBursts(torch.stack(inputs).numpy(), bursts.levels.astype(np.float64))

    def _judge_tiles(self, tiles: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        """Return what each tower says of the tiles of one frame, on average."""
        views = as_views(tiles)
        features = self.upper.features(to_activations(run_frozen(self.frozen, views)))
        detail = self.upper.cues_of(features).score.mean()  # as the checkpoint has it
        local = self.local.cues_of(self.local.features(views), detail=True).score.mean()
        return detail, local


def _features(model: AlignedModel, stored: NDArray[np.float16]) -> Tensor:
    flat = np.array(stored).reshape(-1, *stored.shape[2:])
    return torch.cat([model.features(to_activations(part)) for part in np.array_split(flat, 2)])


def fit_fusion(bursts: JudgedBursts, blocks_cost: float) -> FittedFusion:
    """Return the line that puts the frames of each burst in order, on the scale of the overall cue.

    `blocks_cost`: of the score, for each per cent of `TILE_BLOCKS`.
    """
    cues = bursts.inputs[..., :_CUES]
    direction = _direction(bursts)
    sharp = bursts.inputs[:, :2, 0]
    centre, of_scene = float(sharp.mean()), sharp.mean(axis=1, keepdims=True)
    target = centre + _SCENE_SHARE * (of_scene - centre) - _COST_PER_LEVEL * bursts.levels
    along = cues @ direction
    off = along - along.mean()
    weights = direction * float((off * (target - target.mean())).sum() / (off**2).sum())
    return centred(np.append(weights, -blocks_cost), bursts)


def centred(weights: NDArray[np.float64], bursts: JudgedBursts) -> FittedFusion:
    """Return the line of these weights [4] by which sharp frames keep their overall score, on average."""
    sharp = bursts.inputs[:, :2]
    return FittedFusion(weights, float(sharp[..., 0].mean() - (sharp @ weights).mean()))


def _direction(bursts: JudgedBursts) -> NDArray[np.float64]:
    """Return the weights [3], of any length, under which the better of two frames is likeliest ahead."""
    better, worse = np.array(_ordered_frames(bursts.levels.shape[1])).T
    cues = bursts.inputs[..., :_CUES]
    leads = (cues[:, better] - cues[:, worse]).reshape(-1, _CUES)
    spread = leads.std(axis=0) + 1e-9

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        lead = leads / spread @ weights
        gradient = -(leads / spread).T @ (1 / (1 + np.exp(lead))) / len(lead) + 2 * _RIDGE * weights
        return float(np.logaddexp(0, -lead).mean() + _RIDGE * weights @ weights), gradient

    return np.asarray(minimize(loss, np.ones(_CUES), jac=True).x / spread)


def _ordered_frames(frames: int) -> list[tuple[int, int]]:
    """Return the ordered pairs of a burst: sharp before faulty, weaker before stronger."""
    pairs = [(sharp, faulty) for sharp in (0, 1) for faulty in range(2, frames)]
    return pairs + [(weak, weak + 1) for weak in range(2, frames, 2)]


def cross_fitted(bursts: JudgedBursts, blocks_cost: float) -> NDArray[np.float64]:
    """Return scores [B, F], each half of the bursts judged by the fusion of the other half."""
    scores = np.zeros(bursts.levels.shape)
    even = np.arange(len(scores)) % 2 == 0
    for half in (even, ~even):
        if half.any() and not half.all():
            other = fit_fusion(JudgedBursts(bursts.inputs[~half], bursts.levels[~half]), blocks_cost)
            scores[half] = other.scores(bursts.inputs[half])
    return scores


def burst_report(scored: NDArray[np.float64], bursts: JudgedBursts) -> Iterator[str]:
    """Yield a line for each cue: pairs in order, the spread of two sharp frames, agreement with levels.

    `scored`: the fused scores of all frames, [B, F].
    """
    columns: Mapping[str, NDArray[np.float64]] = {
        "overall": bursts.inputs[..., 0],
        "detail": bursts.inputs[..., 1],
        "local": bursts.inputs[..., 2],
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
