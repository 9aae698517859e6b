"""The engine: pixels of many photos → their scores, with one model, one metric and one protocol."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from maclip_daemon.errors import MaclipError, Poison
from maclip_daemon.iqa.metrics import Metric
from maclip_daemon.iqa.models.loaded_model import LoadedModel
from maclip_daemon.iqa.photo_judgement import TileJudgement, judge
from maclip_daemon.iqa.photo_pixels import PhotoPixels
from maclip_daemon.iqa.photo_score import PhotoScore
from maclip_daemon.iqa.protocols import NATIVE, Protocol
from maclip_daemon.scoring.batch_size import BatchSize
from maclip_daemon.scoring.feature_extractor import FeatureExtractor


class Engine:
    """A loaded model and a metric that score batches of photos of one protocol."""

    def __init__(
        self,
        model: LoadedModel,
        metric: Metric,
        *,
        protocol: Protocol = NATIVE,
        batch: BatchSize | None = None,
        exact: Callable[[], LoadedModel] | None = None,
    ) -> None:
        """`exact` loads the same model in fp32, for photos whose features overflow in fp16."""
        self.extractor = FeatureExtractor(model.encoder, batch, model.local_encoder)
        self._model = model
        self._metric = metric
        self._protocol = protocol
        fusion = None if model.fusion is None else model.fusion.fitted_for(metric, protocol.name)
        is_judged_twice = model.local_encoder is not None
        self._tiles = TileJudgement(0, model.tile_prompts, fusion, is_judged_twice, model.local_prompts)
        self._exact = exact
        self._exact_engine: Engine | None = None

    def score(self, photos: Sequence[PhotoPixels]) -> list[PhotoScore | MaclipError]:
        """Return the score of each photo, or its error, in order.

        `photos`: at the protocol's size, both sides at least 224. The errors are those of
        `FeatureExtractor.features`, and `Poison` for features that are not finite. Raises `EnvironmentUnfit`
        when not even a small photo fits into the memory.
        """
        found = self.extractor.features(photos, self._metric.views, centred=self._protocol.is_centred)
        return [
            features if isinstance(features, MaclipError) else self._judge(photo, features)
            for photo, features in zip(photos, found, strict=True)
        ]

    def _judge(self, photo: PhotoPixels, features: Tensor) -> PhotoScore | MaclipError:
        encoder = self._model.encoder
        if not bool(torch.isfinite(features).all()) and encoder.precision == "fp16" and self._exact:
            if self._exact_engine is None:
                batch = BatchSize(self.extractor.batch.views)
                self._exact_engine = Engine(self._exact(), self._metric, protocol=self._protocol, batch=batch)
            return self._exact_engine.score([photo])[0]
        try:
            tiles, scale = self._tiles.of(photo), self._model.logit_scale
            score = judge(self._metric, features, self._model.prompts, scale, tiles)
        except Poison as error:
            return error
        return dataclasses.replace(
            score,
            width=photo.picture.shape[1],
            height=photo.picture.shape[0],
            device=encoder.device.type,
            precision=encoder.precision,
        )
