"""Signs of life: which parts of the pipeline still move, and what they wait for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Heartbeat:
    """Every thread says when it will report next; one that does not has stalled.

    Thread-safe. The daemon tells the service manager's watchdog that all is well only while nothing stalls.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._deadlines: dict[str, float] = {}
        self._lock = threading.Lock()

    def beat(self, part: str, within_s: float) -> None:
        """Say that `part` moves and will say so again within `within_s` seconds."""
        with self._lock:
            self._deadlines[part] = self._clock() + within_s

    def end(self, part: str) -> None:
        """Say that `part` has ended in good order."""
        with self._lock:
            self._deadlines.pop(part, None)

    def stalled(self) -> list[str]:
        """Return the parts whose time has run out."""
        now = self._clock()
        with self._lock:
            return [part for part, deadline in self._deadlines.items() if deadline < now]
