"""Decoded photos on their way to the scorer: a queue that is bounded in photos and in bytes."""

from __future__ import annotations

import collections
import threading
import time
from dataclasses import dataclass

from maclip_daemon.library.queue.leases import LeasedJob
from maclip_daemon.photos.decoder import DecodedPhoto
from maclip_daemon.scoring.scorer_client import PixelBlock


@dataclass(frozen=True)
class Ready:
    """A decoded photo on its way to the scorer."""

    job: LeasedJob
    photo: DecodedPhoto

    @property
    def block(self) -> PixelBlock:
        """Return what the scorer takes."""
        photo = self.photo
        return PixelBlock(
            photo.pixels, photo.spooled, photo.width, photo.height, name=self.job.path, tiles=photo.tiles
        )


class LookAhead:
    """First in, first out. Thread-safe."""

    def __init__(self, changed: threading.Condition, max_photos: int, max_bytes: int) -> None:
        """Notify `changed` of every change; any notification ends the waits here.

        `max_bytes` of pixels; a photo that is larger waits alone.
        """
        self._changed = changed
        self._max_photos = max_photos
        self._max_bytes = max_bytes
        self._waiting: collections.deque[Ready] = collections.deque()
        self._bytes = 0

    def put(self, ready: Ready, timeout_s: float) -> bool:
        """Add a photo as soon as there is room; return False when the time is over before."""
        size = ready.photo.size
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while self._waiting and not self._has_room(size):
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    return False
            self._waiting.append(ready)
            self._bytes += size
            self._changed.notify_all()
        return True

    def take(self, limit: int, timeout_s: float) -> list[Ready]:
        """Return up to `limit` photos; wait for the first one, or for a notification."""
        with self._changed:
            if not self._waiting:
                self._changed.wait(timeout_s)
            taken = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
            self._bytes -= sum(ready.photo.size for ready in taken)
            if taken:
                self._changed.notify_all()
        return taken

    def take_all(self) -> list[Ready]:
        """Return all waiting photos at once."""
        with self._changed:
            taken, self._bytes = list(self._waiting), 0
            self._waiting.clear()
        return taken

    def _has_room(self, size: int) -> bool:
        return len(self._waiting) < self._max_photos and self._bytes + size <= self._max_bytes
