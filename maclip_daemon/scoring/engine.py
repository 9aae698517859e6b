"""The engine: pixels of many photos → their scores, the views going through the encoder in full batches."""

from __future__ import annotations

import dataclasses
import functools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from maclip_daemon.errors import EnvironmentUnfit, MaclipError, Poison, Transient
from maclip_daemon.iqa.encoder import Precision
from maclip_daemon.iqa.metrics import Metric
from maclip_daemon.iqa.models.loading import LoadedModel
from maclip_daemon.iqa.photo_judgement import judge
from maclip_daemon.iqa.photo_score import PhotoScore
from maclip_daemon.iqa.protocols import VIEW_SIZE
from maclip_daemon.iqa.views import Normalisation, make_views, squashed_view
from maclip_daemon.scoring.batch_size import BatchSize
from maclip_daemon.scoring.batches import VIEW_PIXELS, Batch, Batching, Pixels
from maclip_daemon.scoring.device import free_cached_memory, is_out_of_memory, upload
from maclip_daemon.scoring.parallel_batches import compute

DEFAULT_BATCH_VIEWS = 40  # eight photos of five views; more gains nothing on processors
_SMALL_PIXELS = 448 * 448  # a device on which no photo of this size fits is full, whatever the photo


class ViewEncoder(Protocol):
    """What the engine needs of `iqa.encoder.Encoder`."""

    device: torch.device
    precision: Precision
    any_size: bool
    normalisation: Normalisation

    def encode(self, views: Tensor) -> Tensor:
        """Features [N, D] of views [N, 3, h, w]."""
        ...


class Engine:
    """A loaded model and a metric that score batches of photos; shrinks its batches to fit the memory."""

    def __init__(
        self,
        model: LoadedModel,
        metric: Metric,
        *,
        batch: BatchSize | None = None,
        exact: Callable[[], LoadedModel] | None = None,
    ) -> None:
        """`exact` loads the same model in fp32, for photos whose features overflow in fp16."""
        self.batch = batch or BatchSize(DEFAULT_BATCH_VIEWS)
        """How many views of 224×224 go through the encoder together; fewer when memory runs out."""
        self._model = model
        self._metric = metric
        self._encoder: ViewEncoder = model.encoder
        self._exact = exact
        self._exact_engine: Engine | None = None
        self._noting = threading.Lock()

    def score(self, photos: Sequence[Pixels]) -> list[PhotoScore | MaclipError]:
        """Score photos, RGB bytes [H, W, 3] with both sides at least 224; one answer for each, in order.

        A photo that cannot be scored is answered with its error: `Poison` for features that are not finite,
        `Transient` when one of its views alone is too large for the memory. Raises `EnvironmentUnfit` when
        not even a small one fits, which is no photo's fault.
        """
        try:
            return self._score(photos)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Not in the encoder: it was the photos themselves that found no room beside each other.
        free_cached_memory(self._encoder.device)
        if len(photos) == 1:
            return [_does_not_fit(photos[0].shape[1], photos[0].shape[0])]
        half = len(photos) // 2
        return [*self.score(photos[:half]), *self.score(photos[half:])]

    def _score(self, photos: Sequence[Pixels]) -> list[PhotoScore | MaclipError]:
        readable = {index: photo for index, photo in enumerate(photos) if _can_be_judged(photo)}
        failures: dict[int, MaclipError] = {
            index: Poison(f"Pixels of the shape {photo.shape} cannot be judged.")
            for index, photo in enumerate(photos)
            if index not in readable
        }
        features: dict[int, list[Tensor]] = {index: [] for index in readable}
        batching = Batching(self._metric.views, self._encoder.any_size)
        batches = batching.batches(readable, lambda: self.batch.views, failures)
        at_once = batching.at_once(readable, self.batch.views)
        # A large photo fills many batches, one after the other.
        pixels = functools.lru_cache(maxsize=1)(lambda index: upload(readable[index], self._encoder.device))
        work = functools.partial(self._encode_batch, pixels)
        for batch, encoded in compute(work, batches, at_once, self._encoder.device):
            if isinstance(encoded, Transient):
                failures.update(dict.fromkeys(batch.owners, encoded))
                continue
            for owner, feature in zip(batch.owners, encoded, strict=True):
                features[owner].append(feature)
        return [
            failures[index] if index in failures else self._judge(photo, torch.stack(features[index]))
            for index, photo in enumerate(photos)
        ]

    def _encode_batch(
        self, pixels: Callable[[int], Tensor], batch: Batch
    ) -> tuple[Batch, Tensor | Transient]:
        """Make and encode the views of a batch; a single view that does not fit is its photo's error."""
        views = torch.cat([self._views(pixels(index), start, stop) for index, start, stop in batch.parts])
        try:
            return batch, self._encode(views)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return batch, _does_not_fit(*views.shape[:1:-1])

    def _views(self, pixels: Tensor, start: int, stop: int) -> Tensor:
        normalisation = self._encoder.normalisation
        if self._metric.views == "whole" and not self._encoder.any_size:
            return squashed_view(pixels, normalisation)
        return make_views(pixels, self._metric.views, start, stop, normalisation)

    def _encode(self, views: Tensor) -> Tensor:
        """Encode a batch; when memory runs out, in halves, and smaller batches from then on."""
        clock = time.thread_time if self._encoder.device.type == "cpu" else time.perf_counter
        start = clock()
        try:
            features = self._encoder.encode(views)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or len(views) == 1:
                raise
        else:
            # On the processor the time of a thread alone says what a view costs: decoders run beside it.
            is_alone = self._encoder.device.type != "cpu" or torch.get_num_threads() == 1
            if is_alone and views.shape[-1] == views.shape[-2] == VIEW_SIZE:
                with self._noting:
                    self.batch.note(len(views), clock() - start)
            return features
        # Outside of the handler: the traceback would keep the activations alive.
        free_cached_memory(self._encoder.device)
        with self._noting:
            self.batch.shrink(len(views) * views.shape[-1] * views.shape[-2] // VIEW_PIXELS)
        half = len(views) // 2
        return torch.cat([self._encode(views[:half]), self._encode(views[half:])])

    def _judge(self, photo: Pixels, features: Tensor) -> PhotoScore | MaclipError:
        if not bool(torch.isfinite(features).all()) and self._encoder.precision == "fp16" and self._exact:
            if self._exact_engine is None:
                self._exact_engine = Engine(self._exact(), self._metric, batch=BatchSize(self.batch.views))
            return self._exact_engine.score([photo])[0]
        try:
            score = judge(self._metric, features, self._model.prompts, self._model.logit_scale)
        except Poison as error:
            return error
        return dataclasses.replace(
            score,
            width=photo.shape[1],
            height=photo.shape[0],
            device=self._encoder.device.type,
            precision=self._encoder.precision,
        )


def _can_be_judged(photo: Pixels) -> bool:
    return photo.ndim == 3 and photo.shape[2] == 3 and min(photo.shape[:2]) >= VIEW_SIZE


def _does_not_fit(width: int, height: int) -> Transient:
    if width * height <= _SMALL_PIXELS:
        raise EnvironmentUnfit(
            f"The memory of the device is full: not even {width}×{height} pixels fit. Close what else uses "
            "it; the work goes on by itself then."
        )
    return Transient(
        f"A view of {width}×{height} pixels does not fit into the free memory of the device. "
        "Free some, or choose a protocol with smaller photos."
    )
