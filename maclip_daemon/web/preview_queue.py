"""Previews on request: from the cache, else from one of a few preview processes, the most urgent first."""

from __future__ import annotations

import heapq
import itertools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from maclip_daemon import errors
from maclip_daemon.photos.previews.previewer import Previewer
from maclip_daemon.settings import Settings
from maclip_daemon.web.preview_cache import PreviewCache, cache_folder

PreviewKind = Literal["grid", "window", "screen", "full"]
# A quarter of 24 megapixels is 1500 pixels wide: a JPEG is decoded at such a fraction four times faster.
LONG_EDGES = {"grid": 320, "window": 1500, "screen": 2048, "full": 16384}
QUALITIES = {"grid": 80, "window": 85, "screen": 85, "full": 90}
MOST_PREVIEWERS = 4
MOST_WAITING = 300  # beyond that the ones asked for first are dropped: nobody sees their photos any more
ALONE_S = 1.0  # seconds that the first process has to load before the others take its processor time
BUSY = "Too many pictures are wanted at once. Try again."

NewPreviewer = Callable[[], Previewer]


@dataclass(frozen=True)
class WantedPreview:
    """One picture of a photo file as it is now."""

    path: str
    version: str
    """Changes whenever the file does."""
    kind: PreviewKind

    @property
    def key(self) -> str:
        """Return the key in the cache."""
        return f"{self.path}\0{self.version}\0{self.kind}"


class PreviewQueue:
    """Worker threads with a preview process each. Thread-safe."""

    def __init__(self, cache: PreviewCache, new_previewer: NewPreviewer, workers: int) -> None:
        """Start no process yet: each starts with its first photo."""
        self._cache = cache
        self._new_previewer = new_previewer
        self._waiting: list[tuple[int, int, WantedPreview]] = []
        self._futures: dict[WantedPreview, Future[bytes]] = {}
        self._running: set[WantedPreview] = set()
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._is_closed = False
        self._others_begin = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(number,), name=f"previews {number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def get(self, wanted: WantedPreview, *, soon: bool = False, timeout_s: float = 120.0) -> bytes:
        """Return the picture as JPEG; `soon`: it is not shown yet, and others come first.

        Raises what `Previewer.preview` raises, `Transient` when too many are wanted or the page ends.
        """
        if (found := self.made(wanted)) is not None:
            return found
        future = self._asked(wanted, soon=soon)
        try:
            return future.result(timeout_s)
        except TimeoutError:
            raise errors.Transient(BUSY) from None

    def made(self, wanted: WantedPreview) -> bytes | None:
        """Return the picture as JPEG if it is there already."""
        return self._cache.get(wanted.key)

    def prepare(self, wanted: WantedPreview) -> None:
        """Begin to make a picture that nobody waits for yet. Raises `Transient` when the page ends."""
        self._asked(wanted, soon=True)

    def _asked(self, wanted: WantedPreview, *, soon: bool) -> Future[bytes]:
        with self._changed:
            if self._is_closed:
                raise errors.Transient("The review page has ended.")
            future = self._futures.setdefault(wanted, Future())
            # In the order of asking: a browser asks for six at a time, and takes back what left its view.
            heapq.heappush(self._waiting, (int(soon), next(self._numbers), wanted))
            self._drop_oldest()
            self._changed.notify()
        return future

    def refuse(self) -> None:
        """Make no more pictures; whoever waits gets an error."""
        with self._changed:
            self._is_closed = True
            for future in self._futures.values():
                if not future.done():
                    future.set_exception(errors.Transient("The review page has ended."))
            self._futures.clear()
            self._changed.notify_all()
        self._others_begin.set()

    def close(self) -> None:
        """End the processes."""
        self.refuse()
        for thread in self._threads:
            thread.join()

    def _drop_oldest(self) -> None:
        while len(self._waiting) > MOST_WAITING:
            oldest = min(self._waiting, key=lambda each: (-each[0], each[1]))
            self._waiting.remove(oldest)
            heapq.heapify(self._waiting)
            if not any(each[2] == oldest[2] for each in self._waiting):
                future = self._futures.pop(oldest[2], None)
                if future is not None and not future.done():
                    future.set_exception(errors.Transient(BUSY))

    def _take(self) -> tuple[WantedPreview, Future[bytes]] | None:
        with self._changed:
            while True:
                if self._is_closed:
                    return None
                while self._waiting:
                    wanted = heapq.heappop(self._waiting)[2]
                    future = self._futures.get(wanted)
                    if future is not None and wanted not in self._running:
                        self._running.add(wanted)
                        return wanted, future
                self._changed.wait()

    def _work(self, number: int) -> None:
        """Make pictures. The first thread begins alone: a person waits for one picture first."""
        if number:
            self._others_begin.wait()
        previewer = self._new_previewer()
        try:
            while (taken := self._take()) is not None:
                wanted, future = taken
                if not self._others_begin.is_set():
                    self._begin_others_later()
                try:
                    result: bytes | errors.MaclipError = self._made(previewer, wanted)
                except errors.MaclipError as error:
                    result = error
                self._others_begin.set()
                with self._changed:
                    self._running.discard(wanted)
                    self._futures.pop(wanted, None)
                    if future.done():
                        continue
                    if isinstance(result, errors.MaclipError):
                        future.set_exception(result)
                    else:
                        future.set_result(result)
        finally:
            previewer.close()

    def _begin_others_later(self) -> None:
        timer = threading.Timer(ALONE_S, self._others_begin.set)
        timer.daemon = True
        timer.start()

    def _made(self, previewer: Previewer, wanted: WantedPreview) -> bytes:
        found = self._cache.get(wanted.key)
        if found is not None:
            return found
        edge, quality = LONG_EDGES[wanted.kind], QUALITIES[wanted.kind]
        made = previewer.preview(Path(wanted.path), edge, quality)
        self._cache.put(wanted.key, made.picture)
        if wanted.kind != "grid":
            small = WantedPreview(wanted.path, wanted.version, "grid")
            if self._cache.get(small.key) is None:
                self._cache.put(small.key, made.grid)
        return made.picture


def for_library(settings: Settings, roots: Sequence[str]) -> PreviewQueue:
    """Return the queue for the photos below these watched folders, which keeps pictures for later runs."""
    cache = PreviewCache(cache_folder(), settings.review.cache_mib << 20)
    paths = [Path(root) for root in roots]
    workers = min(os.cpu_count() or 1, MOST_PREVIEWERS)
    return PreviewQueue(cache, lambda: Previewer(settings.decoding, paths), workers)
