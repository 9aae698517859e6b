"""Photo judgement: the features of a photo's views → its score, as the metric combines the cues."""

from __future__ import annotations

import torch
from torch import Tensor

from maclip_daemon.errors import Poison
from maclip_daemon.iqa import cues
from maclip_daemon.iqa.metrics import Metric
from maclip_daemon.iqa.photo_score import PhotoScore


def judge(metric: Metric, features: Tensor, prompts: Tensor | None, logit_scale: float) -> PhotoScore:
    """Return the score of one photo from the features [V, D] of its views, computed in double precision.

    `prompts` [2P, D] of length one, in the order of the metric's pairs; None for a metric without prompts.
    `logit_scale` is CLIP's, before exp. Raises `Poison` when a feature or the score is not a finite number:
    such a score must never be stored.
    """
    if not bool(torch.isfinite(features).all()):
        raise Poison("The model's features of this photo are not finite numbers, so it has no score.")
    views = features.detach().to("cpu", torch.float64)
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
    if not bool(torch.isfinite(scores).all()):
        raise Poison("The metric's parameters give this photo a score that is not a finite number.")
    return PhotoScore(
        score=float(scores.mean()),
        q_sim=None if similarity is None else float(similarity.mean()),
        q_mag=None if magnitude is None else float(magnitude.mean()),
        attributes=attributes,
        views=len(views),
        view_scores=tuple(scores.tolist()),
        view_spread=float(scores.std(unbiased=False)),
        weight_sim=None if weights is None else float(weights[:, 0].mean()),
    )
