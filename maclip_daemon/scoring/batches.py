"""Batches: views of several photos that go through the encoder together."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field

from maclip_daemon.iqa.photo_pixels import PhotoPixels
from maclip_daemon.iqa.view_grid import ViewKind, view_count
from maclip_daemon.iqa.view_size import VIEW_SIZE

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
    is_local: bool = False
    """True for tiles on their way through a model's local tower."""

    @property
    def owners(self) -> list[int]:
        """The photo's number for each view."""
        return [number for number, start, stop in self.parts for _ in range(start, stop)]


@dataclass(frozen=True)
class _Run:
    """Successive views of one photo that have one size."""

    size: tuple[int, int]
    start: int
    stop: int
    is_local: bool = False

    @property
    def count(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Batching:
    """Divides the views of photos into batches."""

    kind: ViewKind
    any_size: bool
    """True when the encoder takes whole photos of any size, not 224×224 only."""
    has_local: bool = False
    """True when tiles go through a local tower as well: behind the tiles, as views of their own."""

    def batches(
        self, photos: Mapping[int, PhotoPixels], views: Callable[[], int], dropped: Container[int]
    ) -> Iterator[Batch]:
        """Yield full batches of the photos' views, in order; those of the local tower last.

        `views`: returns how many of 224×224 make the next batch. `dropped` photos add no more views.
        """
        batch = Batch((0, 0))
        runs = [(number, run) for number, photo in photos.items() for run in self._runs(photo)]
        for number, run in sorted(runs, key=lambda numbered: numbered[1].is_local):
            start = run.start
            while start < run.stop and number not in dropped:
                limit = _limit(views(), run.size)
                is_other = batch.size != run.size or batch.is_local != run.is_local
                if batch.parts and (batch.count >= limit or is_other):
                    yield batch
                    batch = Batch(run.size)
                    continue
                batch.size, batch.is_local = run.size, run.is_local
                stop = min(run.stop, start + limit - batch.count)
                batch.parts.append((number, start, stop))
                batch.count += stop - start
                start = stop
        if batch.parts:
            yield batch

    def at_once(self, photos: Mapping[int, PhotoPixels], views: int) -> int:
        """Return how many batches to compute at a time, within the memory of `MOST_VIEWS`."""
        runs = [run for photo in photos.values() for run in self._runs(photo)]
        largest = max(
            (_limit(views, size) * size[0] * size[1] for size in {run.size for run in runs}), default=1
        )
        batches = sum(run.count / _limit(views, run.size) for run in runs)
        return max(1, min(math.ceil(batches), MOST_VIEWS * VIEW_PIXELS // largest))

    def _runs(self, photo: PhotoPixels) -> list[_Run]:
        """Return the photo's views, its tiles, and these for the local tower; one run where sizes agree."""
        height, width = photo.picture.shape[:2]
        own = view_count(width, height, self.kind)
        every = own + photo.tile_count
        square = VIEW_SIZE, VIEW_SIZE
        again = [_Run(square, every, every + photo.tile_count, is_local=True)] if self.has_local else []
        if self.kind == "crops" or not self.any_size or (height, width) == square:
            return [_Run(square, 0, every), *again]
        tiles = [_Run(square, own, every)] if photo.tile_count else []
        return [_Run((height, width), 0, own), *tiles, *again]


def _limit(views: int, size: tuple[int, int]) -> int:
    """Return how many views of this size have as many pixels as `views` of 224×224."""
    return max(1, views * VIEW_PIXELS // (size[0] * size[1]))
