"""Heartbeats: which parts of the pipeline still move."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Heartbeat:
    """The time by which each thread must report next; one that is late has stalled. Thread-safe.

    The daemon sends keep-alives to the service manager's watchdog only while nothing stalls.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._deadlines: dict[str, float] = {}
        self._lock = threading.Lock()

    def beat(self, part: str, within_s: float) -> None:
        """Record that `part` moves, and expect its next report within `within_s` seconds."""
        with self._lock:
            self._deadlines[part] = self._clock() + within_s

    def end(self, part: str) -> None:
        """Expect no more reports: `part` has ended."""
        with self._lock:
            self._deadlines.pop(part, None)

    def stalled(self) -> list[str]:
        """Return the parts whose next report is overdue."""
        now = self._clock()
        with self._lock:
            return [part for part, deadline in self._deadlines.items() if deadline < now]
