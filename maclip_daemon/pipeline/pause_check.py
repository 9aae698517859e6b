"""Let all work wait while a person wants it: after `maclip pause`, and in quiet hours."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from maclip_daemon.errors import DatabaseUnfit, Transient
from maclip_daemon.library.queue import pause_order
from maclip_daemon.library.queue.pause_order import PauseOrder
from maclip_daemon.library.storage.database import Library
from maclip_daemon.pipeline import wanted_waits
from maclip_daemon.pipeline.run_state import RunState
from maclip_daemon.pipeline.waits import WANTED_PAUSES

CHECK_S = 2.0  # between looks at the order in the library: one row, by its key


class PauseCheck:
    """The check of one run. Owned by one thread."""

    def __init__(
        self,
        library: Library,
        state: RunState,
        quiet_hours: Sequence[str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`quiet_hours`: as the settings have them."""
        self._library = library
        self._state = state
        self._quiet_hours = quiet_hours
        self._monotonic = monotonic
        self._checked = -math.inf
        self._order: PauseOrder | None = None

    def check(self) -> None:
        """Begin or end the waits; reads the library every `CHECK_S` at most."""
        if self._monotonic() - self._checked < CHECK_S:
            return
        self._checked = self._monotonic()
        now = self._state.clock()
        wanted = [
            *wanted_waits.of_order(self._read(), now),
            *wanted_waits.of_hours(self._quiet_hours, now),
        ]
        for wait in wanted:
            for_s = math.inf if wait.until is None else wait.until - now
            self._state.waits.begin(wait.resource, wait.reason, for_s=for_s)
        begun = {wait.resource for wait in wanted}
        if any([self._state.waits.end(each) for each in WANTED_PAUSES if each not in begun]):
            self._state.wake()

    def _read(self) -> PauseOrder | None:
        """Return the order; while the library cannot be read, the last one that was."""
        try:
            with self._library.snapshot() as snapshot:
                self._order = pause_order.read(snapshot)
        except (Transient, DatabaseUnfit):
            pass  # whoever writes says what is wrong with it
        return self._order
