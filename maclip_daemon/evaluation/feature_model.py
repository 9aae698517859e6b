"""A model under evaluation: features of photos, and scores by several metrics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from maclip_daemon.errors import EnvironmentUnfit
from maclip_daemon.evaluation.candidates import Judgement
from maclip_daemon.iqa.encoder import Precision
from maclip_daemon.iqa.metrics import Metric
from maclip_daemon.iqa.models.catalogue import ResolvedModel
from maclip_daemon.iqa.models.loading import LoadedModel, load
from maclip_daemon.iqa.photo_judgement import judge
from maclip_daemon.iqa.prompts import PromptPair
from maclip_daemon.iqa.protocols import Pixels
from maclip_daemon.iqa.view_grid import ViewKind
from maclip_daemon.scoring.batch_size import BatchSize
from maclip_daemon.scoring.feature_extractor import FeatureExtractor

_VIEWS_AT_ONCE = 64  # 224×224 views in a forward: about 1 GiB of activations on RN50 in fp32


def load_feature_model(
    resolved: ResolvedModel,
    judgements: Sequence[Judgement],
    data_dir: Path,
    *,
    device: torch.device,
    precision: Precision,
) -> FeatureModel:
    """Return a model loaded once for all judgements. Raises `ModelUnavailable` when it cannot serve one."""
    metrics = [judgement.metric for judgement in judgements if judgement.metric is not None]
    pairs = tuple(dict.fromkeys(pair for metric in metrics for pair in metric.pairs))
    every_prompt = Metric("evaluation", "crops", "similarity", pairs)
    loaded = load(resolved, every_prompt, data_dir, device=device, precision=precision)
    return FeatureModel(resolved.name, loaded, pairs)


class FeatureModel:
    """One encoder for all metrics, with the features of all their prompts."""

    def __init__(self, identity: str, loaded: LoadedModel, pairs: tuple[PromptPair, ...]) -> None:
        """`pairs`: the prompt pairs of `loaded.prompts`, in its order."""
        self.identity = identity
        self._extractor = FeatureExtractor(loaded.encoder, BatchSize(_VIEWS_AT_ONCE))
        self._logit_scale = loaded.logit_scale
        rows = [] if loaded.prompts is None else list(loaded.prompts.split(2))  # type: ignore[no-untyped-call]
        self._prompts: dict[PromptPair, Tensor] = dict(zip(pairs, rows, strict=True))

    def score(self, judgement: Judgement, features: Tensor) -> float:
        """Return a photo's score from the features [V, D] of its views. Raises `Poison` when not finite."""
        if judgement.metric is None:
            return float(features.double().norm(dim=-1).mean())
        pairs = judgement.metric.pairs
        prompts = torch.cat([self._prompts[pair] for pair in pairs]) if pairs else None
        return judge(judgement.metric, features, prompts, self._logit_scale).score

    def features(self, photos: Sequence[Pixels], kind: ViewKind) -> list[Tensor]:
        """Return the features [V, D] of every photo's views; photos are [H, W, 3] at the protocol's size.

        Raises `EnvironmentUnfit` when the device has too little memory.
        """
        found = self._extractor.features(photos, kind)
        features = [each for each in found if isinstance(each, Tensor)]
        if len(features) < len(found):
            raise EnvironmentUnfit(
                f"{self.identity} needs more memory than the device has. Choose --device cpu, or a protocol "
                "with smaller images such as spaq448."
            )
        return features
