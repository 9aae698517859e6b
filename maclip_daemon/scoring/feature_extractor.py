"""The feature extractor: pixels of many photos → the features of their views, encoded in full batches."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from maclip_daemon.errors import EnvironmentUnfit, MaclipError, Poison, Transient
from maclip_daemon.iqa.encoder import Precision
from maclip_daemon.iqa.photo_pixels import PhotoPixels
from maclip_daemon.iqa.view_grid import ViewKind, view_count
from maclip_daemon.iqa.view_size import VIEW_SIZE
from maclip_daemon.iqa.views import Normalisation, join, squashed_view, view_parts
from maclip_daemon.scoring.batch_size import BatchSize
from maclip_daemon.scoring.batches import VIEW_PIXELS, Batch, Batching
from maclip_daemon.scoring.device import free_cached_memory, is_out_of_memory, upload
from maclip_daemon.scoring.parallel_batches import compute

DEFAULT_BATCH_VIEWS = 40  # eight photos of five views; more gains nothing on processors
_SMALL_PIXELS = 448 * 448  # a device on which no photo of this size fits is full, whatever the photo


class ViewEncoder(Protocol):
    """What the extractor needs of `iqa.encoder.Encoder`."""

    device: torch.device
    precision: Precision
    any_size: bool
    normalisation: Normalisation

    def encode(self, views: Tensor) -> Tensor:
        """Return features [N, D] of views [N, 3, h, w]."""
        ...


_Uploaded = tuple[Tensor, Tensor | None]
"""A photo's picture [H, W, 3] and its tiles [N, 224, 224, 3] on the device, as bytes."""


@dataclass(frozen=True)
class _Cutting:
    """How views are cut out of photos for an encoder."""

    kind: ViewKind
    centred: bool
    encoder: ViewEncoder

    def parts(self, uploaded: _Uploaded, start: int, stop: int) -> list[Tensor]:
        """Return the parts of the views `start` to `stop` (exclusive) of a photo and its tiles, for `join`.

        Behind the tiles come the same ones for the local tower.
        """
        picture, tiles = uploaded
        normalisation = self.encoder.normalisation
        own = view_count(picture.shape[1], picture.shape[0], self.kind)
        if tiles is not None and start >= own + len(tiles):
            start, stop = start - len(tiles), stop - len(tiles)
        parts: list[Tensor] = []
        if start < own and self.kind == "whole" and not self.encoder.any_size:
            parts += squashed_view(picture, normalisation)
        elif start < own:
            end = min(stop, own)
            parts += view_parts(picture, self.kind, start, end, normalisation, centred=self.centred)
        if stop > own and tiles is not None:
            parts += tiles[max(start, own) - own : stop - own]
        return parts


class FeatureExtractor:
    """Encodes the views of photos; shrinks its batches to fit the memory."""

    def __init__(
        self, encoder: ViewEncoder, batch: BatchSize | None = None, local_encoder: ViewEncoder | None = None
    ) -> None:
        """`local_encoder`: a model's second one, which judges tiles as well."""
        self.batch = batch or BatchSize(DEFAULT_BATCH_VIEWS)
        """How many views of 224×224 go through the encoder together; fewer when memory runs out."""
        self._encoder = encoder
        self._local_encoder = local_encoder
        self._timing = threading.Lock()

    def features(
        self, photos: Sequence[PhotoPixels], kind: ViewKind, *, centred: bool = False
    ) -> list[Tensor | MaclipError]:
        """Return the features [V, D] of each photo's views and then its tiles, or its error, in order.

        With a local tower, its features of the tiles come last.

        `photos`: both sides at least 224. `centred`: as for `view_boxes`. The errors: `Poison` for pixels of
        another shape, `Transient` when one of its views alone is too large for the memory. Raises
        `EnvironmentUnfit` when not even a small view fits, which is no photo's fault.
        """
        try:
            return self._features(photos, _Cutting(kind, centred, self._encoder))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Not in the encoder: it was the photos themselves that found no room beside each other.
        free_cached_memory(self._encoder.device)
        if len(photos) == 1:
            height, width = photos[0].picture.shape[:2]
            return [_too_large(width, height)]
        half = len(photos) // 2
        return [
            *self.features(photos[:half], kind, centred=centred),
            *self.features(photos[half:], kind, centred=centred),
        ]

    def _features(self, photos: Sequence[PhotoPixels], cutting: _Cutting) -> list[Tensor | MaclipError]:
        failures: dict[int, MaclipError] = {
            index: Poison(f"Pixels of the shape {photo.picture.shape} cannot be scored.")
            for index, photo in enumerate(photos)
            if not _is_usable(photo)
        }
        usable = {index: photo for index, photo in enumerate(photos) if index not in failures}
        found: dict[int, list[Tensor]] = {index: [] for index in usable}
        batching = Batching(cutting.kind, self._encoder.any_size, self._local_encoder is not None)
        batches = batching.batches(usable, lambda: self.batch.views, failures)
        at_once = batching.at_once(usable, self.batch.views)
        # A large photo fills many batches, one after the other.
        pixels = functools.lru_cache(maxsize=1)(lambda index: _upload(usable[index], self._encoder.device))
        work = functools.partial(self._encode_batch, pixels, cutting)
        for batch, encoded in compute(work, batches, at_once, self._encoder.device):
            if isinstance(encoded, Transient):
                failures.update(dict.fromkeys(batch.owners, encoded))
                continue
            for owner, feature in zip(batch.owners, encoded, strict=True):
                found[owner].append(feature)
        return [
            failures[index] if index in failures else torch.stack(found[index])
            for index in range(len(photos))
        ]

    def _encode_batch(
        self, pixels: Callable[[int], _Uploaded], cutting: _Cutting, batch: Batch
    ) -> tuple[Batch, Tensor | Transient]:
        """Make and encode the views of a batch; a single view that does not fit is its photo's error."""
        parts = [part for number, *run in batch.parts for part in cutting.parts(pixels(number), *run)]
        views = join(parts, self._encoder.normalisation)
        try:
            return batch, self._encode(views, is_local=batch.is_local)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return batch, _too_large(*views.shape[:1:-1])

    def _encode(self, views: Tensor, *, is_local: bool) -> Tensor:
        """Encode a batch; when memory runs out, in halves, and smaller batches from then on."""
        encoder = self._local_encoder if is_local and self._local_encoder is not None else self._encoder
        clock = time.thread_time if self._encoder.device.type == "cpu" else time.perf_counter
        start = clock()
        try:
            features = encoder.encode(views)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or len(views) == 1:
                raise
        else:
            # On the processor only thread time is the cost of a view: decoders run beside it.
            is_alone = self._encoder.device.type != "cpu" or torch.get_num_threads() == 1
            if is_alone and not is_local and views.shape[-1] == views.shape[-2] == VIEW_SIZE:
                with self._timing:
                    self.batch.record(len(views), clock() - start)
            return features
        # Outside of the handler: the traceback would keep the activations alive.
        free_cached_memory(self._encoder.device)
        with self._timing:
            self.batch.shrink(len(views) * views.shape[-1] * views.shape[-2] // VIEW_PIXELS)
        half = len(views) // 2
        parts = views[:half], views[half:]
        return torch.cat([self._encode(part, is_local=is_local) for part in parts])


def _is_usable(photo: PhotoPixels) -> bool:
    picture, tiles = photo.picture, photo.tiles
    if picture.ndim != 3 or picture.shape[2] != 3 or min(picture.shape[:2]) < VIEW_SIZE:
        return False
    return tiles is None or tiles.shape[1:] == (VIEW_SIZE, VIEW_SIZE, 3)


def _upload(photo: PhotoPixels, device: torch.device) -> _Uploaded:
    return upload(photo.picture, device), None if photo.tiles is None else upload(photo.tiles, device)


def _too_large(width: int, height: int) -> Transient:
    """Return the error of a view that does not fit; raise `EnvironmentUnfit` when the view is small."""
    if width * height <= _SMALL_PIXELS:
        raise EnvironmentUnfit(
            f"The memory of the device is full: not even {width}×{height} pixels fit. Close other programs "
            "that use it; scoring then goes on."
        )
    return Transient(
        f"A view of {width}×{height} pixels does not fit into the free memory of the device. "
        "Close other programs that use it, or choose a protocol with smaller photos."
    )
