"""The running daemon, as those who watch it see it: its main thread writes, the server's threads read."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from maclip_daemon.pipeline.run import Pipeline

SILENT_AFTER_S = 60.0  # without a look of the main thread, which looks every two seconds
HealthState = Literal["ok", "paused", "starting", "blocked", "stalled"]


@dataclass(frozen=True)
class Health:
    """Whether the daemon works. `paused` is fine: a wait that ends by itself or as a person wanted."""

    state: HealthState
    waits: list[str] = field(default_factory=list)
    """Kinds of what it waits for: no names, which everyone on this machine could read."""

    @property
    def is_good(self) -> bool:
        """Whether nothing needs a person."""
        return self.state in ("ok", "paused")


class WatchedDaemon:
    """What is known of the daemon."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looked_at = clock()
        self.began_at = time.time()
        self.pipeline: Pipeline | None = None
        self.blocked = ""
        """Why nothing can be stored now."""

    def look(self, pipeline: Pipeline) -> None:
        """Learn of the run in progress."""
        self.pipeline, self.blocked, self._looked_at = pipeline, "", self._clock()

    def block(self, reason: str) -> None:
        """Learn that nothing can be stored."""
        self.blocked, self._looked_at = reason, self._clock()

    def health(self) -> Health:
        """Return whether it works."""
        pipeline = self.pipeline
        if self.blocked:
            return Health("blocked", ["database"])
        if pipeline is None:
            return Health("starting")
        pauses = sorted({wait.resource.kind for wait in pipeline.state.waits.list() if wait.is_pause})
        # A database that is locked keeps the main thread for a while; that is told by `block`.
        if pipeline.state.heartbeat.stalled() or self._clock() - self._looked_at > SILENT_AFTER_S:
            return Health("stalled", list(pauses))
        return Health("paused" if pauses else "ok", list(pauses))
