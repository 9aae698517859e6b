"""The engine: pixels of many photos → their scores, the views going through the encoder in full batches."""

from __future__ import annotations

import dataclasses
import functools
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from maclip_daemon.errors import EnvironmentUnfit, MaclipError, Poison, Transient
from maclip_daemon.iqa.encoder import Precision
from maclip_daemon.iqa.grid import view_count
from maclip_daemon.iqa.judge import judge
from maclip_daemon.iqa.loading import LoadedModel
from maclip_daemon.iqa.metrics import Metric
from maclip_daemon.iqa.photo_score import PhotoScore
from maclip_daemon.iqa.protocols import VIEW_SIZE
from maclip_daemon.iqa.views import Normalisation, make_views, squashed_view
from maclip_daemon.scoring.batch_size import BatchSize
from maclip_daemon.scoring.device import free_cached_memory, is_out_of_memory, upload
from maclip_daemon.scoring.side_by_side import compute

DEFAULT_BATCH_VIEWS = 40  # eight photos of five views; more gains nothing on processors
MOST_VIEWS = 80  # of 224×224 in batches that are computed side by side: their activations take some GB
_VIEW_PIXELS = VIEW_SIZE * VIEW_SIZE
_SMALL_PIXELS = 448 * 448  # a device on which no photo of this size fits is full, whatever the photo
Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


@dataclasses.dataclass
class _Batch:
    """Views of one size that go through the encoder together."""

    size: tuple[int, int]
    parts: list[tuple[int, int, int]] = dataclasses.field(default_factory=list)
    """Index of a photo, and its views from (inclusive) and to (exclusive)."""
    count: int = 0


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
        features: list[list[Tensor]] = [[] for _ in photos]
        failures: dict[int, MaclipError] = {}
        device = self._encoder.device
        work = functools.partial(self._encode_batch, photos)
        for batch, encoded in compute(work, self._batches(photos, failures), self._at_once(photos), device):
            owners = [index for index, start, stop in batch.parts for _ in range(start, stop)]
            if isinstance(encoded, Transient):
                failures.update(dict.fromkeys(owners, encoded))
                continue
            for owner, feature in zip(owners, encoded, strict=True):
                features[owner].append(feature)
        return [
            failures[index] if index in failures else self._judge(photo, torch.stack(features[index]))
            for index, photo in enumerate(photos)
        ]

    def _size(self, photo: Pixels) -> tuple[int, int]:
        """Height and width of the views of a photo."""
        if self._metric.views == "whole" and self._encoder.any_size:
            return photo.shape[0], photo.shape[1]
        return VIEW_SIZE, VIEW_SIZE

    def _limit(self, size: tuple[int, int]) -> int:
        """How many views of this size make a batch."""
        return max(1, self.batch.views * _VIEW_PIXELS // (size[0] * size[1]))

    def _at_once(self, photos: Sequence[Pixels]) -> int:
        """How many batches may be computed at a time: what there is, within the memory meant for it."""
        judged = [photo for photo in photos if _can_be_judged(photo)]
        sizes = {self._size(photo) for photo in judged}
        largest = max((self._limit(size) * size[0] * size[1] for size in sizes), default=1)
        batches = sum(
            view_count(photo.shape[1], photo.shape[0], self._metric.views) / self._limit(self._size(photo))
            for photo in judged
        )
        return max(1, min(math.ceil(batches), MOST_VIEWS * _VIEW_PIXELS // largest))

    def _batches(self, photos: Sequence[Pixels], failures: dict[int, MaclipError]) -> Iterator[_Batch]:
        """Views of one size in full batches, made up when they are asked for: memory may have run out."""
        batch = _Batch((0, 0))
        for index, photo in enumerate(photos):
            if not _can_be_judged(photo):
                failures[index] = Poison(f"Pixels of the shape {photo.shape} cannot be judged.")
                continue
            size = self._size(photo)
            count = view_count(photo.shape[1], photo.shape[0], self._metric.views)
            start = 0
            while start < count and index not in failures:
                limit = self._limit(size)
                if batch.parts and (batch.count >= limit or batch.size != size):
                    yield batch
                    batch = _Batch(size)
                    continue
                batch.size = size
                stop = min(count, start + limit - batch.count)
                batch.parts.append((index, start, stop))
                batch.count += stop - start
                start = stop
        if batch.parts:
            yield batch

    def _encode_batch(self, photos: Sequence[Pixels], batch: _Batch) -> tuple[_Batch, Tensor | Transient]:
        """Make and encode the views of a batch; a single view that does not fit is its photo's error."""
        views = torch.cat([self._views(photos[index], start, stop) for index, start, stop in batch.parts])
        try:
            return batch, self._encode(views)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return batch, _does_not_fit(*views.shape[:1:-1])

    def _views(self, photo: Pixels, start: int, stop: int) -> Tensor:
        pixels = upload(photo, self._encoder.device)
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
            self.batch.shrink(len(views) * views.shape[-1] * views.shape[-2] // _VIEW_PIXELS)
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
