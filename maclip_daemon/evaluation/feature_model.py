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
from maclip_daemon.iqa.models.loaded_model import LoadedModel
from maclip_daemon.iqa.models.loading import load
from maclip_daemon.iqa.photo_judgement import TileJudgement, judge
from maclip_daemon.iqa.photo_pixels import PhotoPixels
from maclip_daemon.iqa.prompts import PromptPair
from maclip_daemon.iqa.protocols import NATIVE, Protocol
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


def _by_pair(rows: Tensor | None, pairs: tuple[PromptPair, ...]) -> dict[PromptPair, Tensor]:
    """Return the two features of each pair, [2, D]; nothing without stored rows."""
    if rows is None:
        return {}
    return {pair: rows[2 * place : 2 * place + 2] for place, pair in enumerate(pairs)}


def _rows(stored: dict[PromptPair, Tensor], pairs: tuple[PromptPair, ...]) -> Tensor | None:
    return torch.cat([stored[pair] for pair in pairs]) if stored and pairs else None


class FeatureModel:
    """One encoder for all metrics, with the features of all their prompts."""

    def __init__(self, identity: str, loaded: LoadedModel, pairs: tuple[PromptPair, ...]) -> None:
        """`pairs`: the prompt pairs of `loaded.prompts`, in its order."""
        self.identity = identity
        self._extractor = FeatureExtractor(loaded.encoder, BatchSize(_VIEWS_AT_ONCE), loaded.local_encoder)
        self._logit_scale = loaded.logit_scale
        self._fusion = loaded.fusion
        self._prompts = _by_pair(loaded.prompts, pairs)
        self._tile_prompts = _by_pair(loaded.tile_prompts, pairs)
        self._local_prompts = _by_pair(loaded.local_prompts, pairs)
        self._is_judged_twice = loaded.local_encoder is not None

    def score(
        self, judgement: Judgement, features: Tensor, photo: PhotoPixels, protocol: Protocol = NATIVE
    ) -> float:
        """Return a photo's score from the features [V, D] of its views, the tiles last.

        `photo`: the pixels that have these features. Raises `Poison` when it is not finite.
        """
        metric = judgement.metric
        if metric is None:
            unjudged = TileJudgement(photo.tile_count, is_judged_twice=self._is_judged_twice)
            return float(features[: len(features) - unjudged.features].double().norm(dim=-1).mean())
        fusion = None if self._fusion is None else self._fusion.fitted_for(metric, protocol.name)
        every = self._prompts, self._tile_prompts, self._local_prompts
        own, of_tiles, local = (_rows(stored, metric.pairs) for stored in every)
        tiles = TileJudgement(0, of_tiles, fusion, self._is_judged_twice, local).of(photo)
        return judge(metric, features, own, self._logit_scale, tiles).score

    def features(self, photos: Sequence[PhotoPixels], kind: ViewKind, *, centred: bool) -> list[Tensor]:
        """Return the features [V, D] of every photo's views and tiles; photos are at the protocol's size.

        `centred`: as for `view_boxes`. Raises `EnvironmentUnfit` when the device has too little memory.
        """
        found = self._extractor.features(photos, kind, centred=centred)
        features = [each for each in found if isinstance(each, Tensor)]
        if len(features) < len(found):
            raise EnvironmentUnfit(
                f"{self.identity} needs more memory than the device has. Choose --device cpu, or a protocol "
                "with smaller images such as spaq448."
            )
        return features
