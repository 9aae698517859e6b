"""The pause while the machine runs on battery."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from maclip_daemon.pipeline.pauses import Pauses
from maclip_daemon.processes import battery

LOOK_S = 10.0  # between looks; a few reads of the kernel's memory
REASON = "The machine runs on battery; photos are scored when it is plugged in (background.pause_on_battery)."


class PowerWatch:
    """Lets photos rest on battery. One thread owns it."""

    def __init__(
        self,
        pauses: Pauses,
        *,
        on_battery: Callable[[], bool] = battery.on_battery,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pauses = pauses
        self._on_battery = on_battery
        self._clock = clock
        self._looked = -math.inf

    def look(self) -> None:
        """Begin or end the pause. Called every few seconds."""
        now = self._clock()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        if self._on_battery():
            self._pauses.begin("power", REASON, lasting=True)
        else:
            self._pauses.end("power")
