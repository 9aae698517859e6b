"""Feature model: the image tower of one model, fed with the views of several photos at a time."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from maclip_daemon.errors import EnvironmentUnfit, UsageError
from maclip_daemon.evaluation.candidates import Judgement
from maclip_daemon.iqa.encoder import Precision
from maclip_daemon.iqa.metrics import Metric
from maclip_daemon.iqa.models.catalogue import ResolvedModel
from maclip_daemon.iqa.models.loading import LoadedModel, load
from maclip_daemon.iqa.photo_judgement import judge
from maclip_daemon.iqa.prompts import PromptPair
from maclip_daemon.iqa.protocols import VIEW_SIZE
from maclip_daemon.iqa.view_grid import ViewKind, view_count
from maclip_daemon.iqa.views import make_views, squashed_view

Pixels = npt.NDArray[np.uint8]

_VIEWS_AT_ONCE = 64  # 224×224 views in a forward: about 1 GiB of activations on RN50 in fp32


def load_feature_model(
    resolved: ResolvedModel,
    judgements: Sequence[Judgement],
    data_dir: Path,
    *,
    device: str,
    precision: Precision,
) -> FeatureModel:
    """Load a model once for all judgements. Raises `ModelUnavailable` when it cannot serve one of them."""
    metrics = [judgement.metric for judgement in judgements if judgement.metric is not None]
    pairs = tuple(dict.fromkeys(pair for metric in metrics for pair in metric.pairs))
    every_prompt = Metric("evaluation", "crops", "similarity", pairs)
    loaded = load(resolved, every_prompt, data_dir, device=device, precision=precision)
    return FeatureModel(resolved.name, loaded, pairs)


def device_named(name: str) -> str:
    """The device behind `auto` (`cuda`, `mps` or `cpu`, the first that is there) or a device's own name.

    Raises `UsageError` for a name that means nothing and `EnvironmentUnfit` for a device that is not here.
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise UsageError(f"There is no device {name!r}. Choose auto, cpu, cuda, cuda:N or mps.")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    number = int(name.partition(":")[2] or 0)
    if name.startswith("cuda") and number >= torch.cuda.device_count():
        raise EnvironmentUnfit(f"This machine has no {name} that torch can use. Choose --device cpu.")
    if name == "mps" and not torch.backends.mps.is_available():
        raise EnvironmentUnfit("This machine has no mps that torch can use. Choose --device cpu.")
    return name


class FeatureModel:
    """A model under evaluation: one encoder for all metrics, and the features of all their prompts."""

    def __init__(self, identity: str, loaded: LoadedModel, pairs: tuple[PromptPair, ...]) -> None:
        """`pairs`: those that `loaded.prompts` holds, in its order."""
        self.identity = identity
        self._encoder = loaded.encoder
        self._logit_scale = loaded.logit_scale
        rows = [] if loaded.prompts is None else list(loaded.prompts.split(2))  # type: ignore[no-untyped-call]
        self._prompts: dict[PromptPair, Tensor] = dict(zip(pairs, rows, strict=True))

    def score(self, judgement: Judgement, features: Tensor) -> float:
        """The score of a photo from the features [V, D] of its views. Raises `Poison` when not finite."""
        if judgement.metric is None:
            return float(features.double().norm(dim=-1).mean())
        pairs = judgement.metric.pairs
        prompts = torch.cat([self._prompts[pair] for pair in pairs]) if pairs else None
        return judge(judgement.metric, features, prompts, self._logit_scale).score

    def features(self, photos: Sequence[Pixels], kind: ViewKind) -> list[Tensor]:
        """The features [V, D] of every photo's views; photos are [H, W, 3] at the protocol's size.

        Raises `EnvironmentUnfit` when the device has too little memory.
        """
        try:
            return self._encode_wholes(photos) if kind == "whole" else self._encode_crops(photos)
        except torch.OutOfMemoryError:
            raise EnvironmentUnfit(
                f"{self.identity} needs more memory than the device has. Choose --device cpu, or a protocol "
                "with smaller images such as spaq448."
            ) from None

    def _encode_wholes(self, photos: Sequence[Pixels]) -> list[Tensor]:
        """Encode each photo as one view; neighbours of one size go through together."""
        encoded: list[Tensor] = []
        for (height, width, _), group in itertools.groupby(photos, key=lambda photo: photo.shape):
            at_once = max(1, _VIEWS_AT_ONCE * VIEW_SIZE**2 // (height * width))
            alike = list(group)
            for first in range(0, len(alike), at_once):
                views = [self._whole_view(photo) for photo in alike[first : first + at_once]]
                encoded += [feature[None] for feature in self._encoder.encode(torch.cat(views))]
        return encoded

    def _whole_view(self, photo: Pixels) -> Tensor:
        pixels, normalisation = torch.from_numpy(photo), self._encoder.normalisation
        if self._encoder.any_size:
            return make_views(pixels, "whole", normalisation=normalisation)
        return squashed_view(pixels, normalisation)

    def _encode_crops(self, photos: Sequence[Pixels]) -> list[Tensor]:
        """Encode all crops of all photos in batches of bounded size; photos share batches."""
        counts = [view_count(photo.shape[1], photo.shape[0]) for photo in photos]
        encoded: list[Tensor] = []
        waiting: list[Tensor] = []
        waiting_count = 0
        for photo, count in zip(photos, counts, strict=True):
            pixels = torch.from_numpy(photo)
            start = 0
            while start < count:
                stop = min(count, start + _VIEWS_AT_ONCE - waiting_count)
                waiting.append(make_views(pixels, "crops", start, stop, self._encoder.normalisation))
                waiting_count += stop - start
                start = stop
                if waiting_count == _VIEWS_AT_ONCE:
                    encoded.append(self._encoder.encode(torch.cat(waiting)))
                    waiting, waiting_count = [], 0
        if waiting:
            encoded.append(self._encoder.encode(torch.cat(waiting)))
        features = torch.cat(encoded)
        ends = list(itertools.accumulate(counts))
        return [features[end - count : end] for count, end in zip(counts, ends, strict=True)]
