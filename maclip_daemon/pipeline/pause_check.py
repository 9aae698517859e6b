"""Let all work wait while a person wants it: after `maclip pause`, and in quiet hours."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence

from maclip_daemon.errors import DatabaseUnfit, Transient
from maclip_daemon.library.queue import pause_order
from maclip_daemon.library.queue.pause_order import CLOCK_SLACK_S, PauseOrder
from maclip_daemon.library.storage.database import BRIEF_TIMEOUT_S, Library
from maclip_daemon.pipeline import wanted_waits
from maclip_daemon.pipeline.run_state import RunState
from maclip_daemon.pipeline.waits import WANTED_PAUSES
from maclip_daemon.processes.boot_clock import since_boot_s

CHECK_S = 2.0  # between looks at the order in the library: one row, by its key


class PauseCheck:
    """The check of one run. Owned by one thread."""

    def __init__(
        self,
        library: Library,
        state: RunState,
        quiet_hours: Sequence[str],
        monotonic: Callable[[], float] = since_boot_s,
    ) -> None:
        """`quiet_hours`: as the settings have them."""
        self._library = library
        self._state = state
        self._quiet_hours = quiet_hours
        self._monotonic = monotonic
        self._checked = -math.inf
        self._order: PauseOrder | None = None
        """As the library has it."""
        self._ends_at = math.inf
        """When that order ends, by the clock that nobody sets."""

    def check(self) -> None:
        """Begin or end the waits; reads the library every `CHECK_S` at most."""
        if self._monotonic() - self._checked < CHECK_S:
            return
        self._checked = self._monotonic()
        now = self._state.clock()
        wanted = [
            *wanted_waits.of_order(self._order_at(now), now),
            *wanted_waits.of_hours(self._quiet_hours, now),
        ]
        for wait in wanted:
            for_s = math.inf if wait.until is None else wait.until - now
            self._state.waits.begin(wait.resource, wait.reason, for_s=for_s)
        begun = {wait.resource for wait in wanted}
        if any([self._state.waits.end(each) for each in WANTED_PAUSES if each not in begun]):
            self._state.wake()

    def _order_at(self, now: float) -> PauseOrder | None:
        """Return the order as it counts now: where the clock was set since, it lasts no longer for that."""
        order = self._read()
        if order is None or order.until is None:
            return order
        if order != self._order:
            self._ends_at = self._monotonic() + (order.as_of(now).until or now) - now
        self._order = order
        set_by_s = now + self._ends_at - self._monotonic() - order.until
        if abs(set_by_s) <= CLOCK_SLACK_S:
            return order
        moved = order.moved(set_by_s)
        with contextlib.suppress(Transient):
            with self._library.writing(BRIEF_TIMEOUT_S) as session:
                pause_order.replace_order(session, order, moved)
            self._order = moved  # else the next check tries again
        return moved

    def _read(self) -> PauseOrder | None:
        """Return the order; while the library cannot be read, the last one that was."""
        try:
            with self._library.snapshot() as snapshot:
                return pause_order.read(snapshot)
        except (Transient, DatabaseUnfit):
            return self._order  # whoever writes says what is wrong with it
