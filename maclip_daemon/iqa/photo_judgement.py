"""Photo judgement: the features of a photo's views → its score, as the metric combines the cues."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from maclip_daemon.errors import Poison
from maclip_daemon.iqa import cues
from maclip_daemon.iqa.fusion import TILE_BLOCKS, MetricFusion, inputs_of
from maclip_daemon.iqa.luma_steps import tile_blocks
from maclip_daemon.iqa.metrics import Metric
from maclip_daemon.iqa.photo_pixels import PhotoPixels
from maclip_daemon.iqa.photo_score import PhotoScore

_UNFITTED = MetricFusion()


@dataclass(frozen=True)
class TileJudgement:
    """How tiles are judged, the last views of a photo."""

    count: int = 0
    prompts: Tensor | None = None
    """[2P, D], a model's own for tiles; None: those of the other views."""
    fusion: MetricFusion | None = None
    """None: the score is the overall cue."""
    is_judged_twice: bool = False
    """True: behind the features of the tiles come those of the model's local tower, as many."""
    local_prompts: Tensor | None = None
    """As `prompts`, for the local tower."""
    blocks: float | None = None
    """What `tile_blocks` measures on their pixels; None where the fusion does not need it."""

    @property
    def features(self) -> int:
        """Return how many of a photo's features are those of its tiles."""
        return 2 * self.count if self.is_judged_twice else self.count

    def of(self, photo: PhotoPixels) -> TileJudgement:
        """Return the same for the tiles of this photo: their number, and what its fusion needs of them."""
        needs_blocks = self.fusion is not None and self.fusion.needs_blocks
        blocks = tile_blocks(photo.tiles) if needs_blocks and photo.tiles is not None else None
        return dataclasses.replace(self, count=photo.tile_count, blocks=blocks)


_NO_TILES = TileJudgement()


@dataclass(frozen=True)
class _Cues:
    """The cues of some views, each [V]."""

    scores: Tensor
    similarity: Tensor | None
    magnitude: Tensor | None
    weights: Tensor | None
    attributes: dict[str, float]

    def mean(self, cue: Tensor | None) -> float | None:
        return None if cue is None else float(cue.mean())

    def inputs(self, prefix: str) -> dict[str, float]:
        """Return what a fusion may know of these views."""
        means = self.mean(self.similarity), self.mean(self.magnitude)
        return inputs_of(prefix, self.scores.tolist(), *means)

    def of_tiles(self, prefix: str) -> dict[str, float]:
        """Return what a fusion may know of tiles: their mean and the score of each rank, too."""
        ranked = {f"{prefix}_{rank}": score for rank, score in enumerate(sorted(self.scores.tolist()), 1)}
        return self.inputs(prefix) | ranked | {f"{prefix}_mean": float(self.scores.mean())}


def judge(
    metric: Metric,
    features: Tensor,
    prompts: Tensor | None,
    logit_scale: float,
    tiles: TileJudgement = _NO_TILES,
) -> PhotoScore:
    """Return the score of one photo from the features [V, D] of its views, computed in double precision.

    `prompts` [2P, D] of length one, in the order of the metric's pairs; None for a metric without prompts.
    `logit_scale` is CLIP's, before exp. `tiles`: the last of the views. Raises `Poison` when a feature or the
    score is not a finite number: such a score must never be stored. Raises `ValueError` where the fusion
    needs the blocks of tiles and they were not measured.
    """
    if not bool(torch.isfinite(features).all()):
        raise Poison("The model's features of this photo are not finite numbers, so it has no score.")
    views = features.detach().to("cpu", torch.float64)
    own = len(views) - tiles.features
    overall = _cues_of(metric, views[:own], prompts, logit_scale)
    mean = float(overall.scores.mean())
    known = overall.inputs("overall") | {"overall": mean, "whole": float(overall.scores[-1])}
    shown, of_tiles = overall.scores, None
    if tiles.count:
        own_prompts = prompts if tiles.prompts is None else tiles.prompts
        found = _cues_of(metric, views[own : own + tiles.count], own_prompts, logit_scale)
        shown = torch.cat([overall.scores, found.scores])
        of_tiles = found.of_tiles("tile")
        if tiles.is_judged_twice:
            local = _cues_of(metric, views[own + tiles.count :], tiles.local_prompts, logit_scale)
            of_tiles |= local.of_tiles("local")
        if tiles.blocks is not None:
            of_tiles[TILE_BLOCKS] = tiles.blocks
        elif tiles.fusion is not None and tiles.fusion.needs_blocks:
            raise ValueError("this fusion needs the blocks of the tiles")
    score, detail = (tiles.fusion or _UNFITTED).fuse(known, of_tiles)
    if not bool(torch.isfinite(torch.tensor([score, detail or 0.0, *shown.tolist()])).all()):
        raise Poison("The metric's parameters give this photo a score that is not a finite number.")
    return PhotoScore(
        score=score,
        overall=mean,
        detail=detail,
        q_sim=overall.mean(overall.similarity),
        q_mag=overall.mean(overall.magnitude),
        attributes=overall.attributes,
        views=own + tiles.count,
        tiles=tiles.count,
        view_scores=tuple(shown.tolist()),
        view_spread=float(overall.scores.std(unbiased=False)),
        weight_sim=None if overall.weights is None else float(overall.weights[:, 0].mean()),
    )


def _cues_of(metric: Metric, views: Tensor, prompts: Tensor | None, logit_scale: float) -> _Cues:
    similarity = magnitude = weights = None
    attributes: dict[str, float] = {}
    if prompts is not None and metric.pairs:
        scale = float(torch.tensor(logit_scale, dtype=torch.float64).exp())
        similarities = cues.pair_similarities(
            views, prompts.to("cpu", torch.float64), scale, metric.temperature
        )
        similarity = cues.q_sim(similarities)
        means = similarities.mean(dim=0).tolist()
        attributes = {pair.name: mean for pair, mean in zip(metric.pairs, means, strict=True)}
    if metric.combine != "similarity":
        magnitude = cues.q_mag(views, metric.box_cox_lambda)
    if metric.combine == "fuse":
        assert similarity is not None
        assert magnitude is not None
        weights = cues.fusion_weights(
            similarity, magnitude, metric.base_similarity, metric.base_magnitude, metric.alpha
        )
        scores = cues.fuse(similarity, magnitude, weights)
    else:
        chosen = similarity if metric.combine == "similarity" else magnitude
        assert chosen is not None
        scores = chosen
    return _Cues(scores, similarity, magnitude, weights, attributes)
