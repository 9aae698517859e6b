"""Batches: views of several photos that go through the encoder together."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field

from maclip_daemon.iqa.protocols import VIEW_SIZE, Pixels
from maclip_daemon.iqa.view_grid import ViewKind, view_count

VIEW_PIXELS = VIEW_SIZE * VIEW_SIZE
MOST_VIEWS = 80  # of 224×224 in batches that are computed side by side: their activations take some GB


@dataclass
class Batch:
    """Views of one size."""

    size: tuple[int, int]
    """Height and width."""
    parts: list[tuple[int, int, int]] = field(default_factory=list)
    """Number of a photo, and its views from (inclusive) and to (exclusive)."""
    count: int = 0
    """Number of views."""

    @property
    def owners(self) -> list[int]:
        """The photo's number for each view."""
        return [number for number, start, stop in self.parts for _ in range(start, stop)]


@dataclass(frozen=True)
class Batching:
    """Divides the views of photos [H, W, 3] into batches."""

    kind: ViewKind
    any_size: bool
    """True when the encoder takes whole photos of any size, not 224×224 only."""

    def batches(
        self, photos: Mapping[int, Pixels], views: Callable[[], int], dropped: Container[int]
    ) -> Iterator[Batch]:
        """Yield full batches of the photos' views, in order.

        `views`: returns how many of 224×224 make the next batch. `dropped` photos add no more views.
        """
        batch = Batch((0, 0))
        for number, photo in photos.items():
            size = self._size(photo)
            count = self._count(photo)
            start = 0
            while start < count and number not in dropped:
                limit = _limit(views(), size)
                if batch.parts and (batch.count >= limit or batch.size != size):
                    yield batch
                    batch = Batch(size)
                    continue
                batch.size = size
                stop = min(count, start + limit - batch.count)
                batch.parts.append((number, start, stop))
                batch.count += stop - start
                start = stop
        if batch.parts:
            yield batch

    def at_once(self, photos: Mapping[int, Pixels], views: int) -> int:
        """Return how many batches to compute at a time, within the memory of `MOST_VIEWS`."""
        sizes = {self._size(photo) for photo in photos.values()}
        largest = max((_limit(views, size) * size[0] * size[1] for size in sizes), default=1)
        batches = sum(self._count(photo) / _limit(views, self._size(photo)) for photo in photos.values())
        return max(1, min(math.ceil(batches), MOST_VIEWS * VIEW_PIXELS // largest))

    def _count(self, photo: Pixels) -> int:
        return view_count(photo.shape[1], photo.shape[0], self.kind)

    def _size(self, photo: Pixels) -> tuple[int, int]:
        if self.kind == "whole" and self.any_size:
            return photo.shape[0], photo.shape[1]
        return VIEW_SIZE, VIEW_SIZE


def _limit(views: int, size: tuple[int, int]) -> int:
    """Return how many views of this size have as many pixels as `views` of 224×224."""
    return max(1, views * VIEW_PIXELS // (size[0] * size[1]))
