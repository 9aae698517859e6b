"""The leases of one run: its own are renewed, lost ones reclaimed; no work is late after a clock jump."""

from __future__ import annotations

import contextlib
import math
import time

from maclip_daemon.errors import Transient
from maclip_daemon.library.queue import leases
from maclip_daemon.library.storage.database import BRIEF_TIMEOUT_S, LOCK_TIMEOUT_S, Library
from maclip_daemon.pipeline.run_state import RunState, log
from maclip_daemon.processes import boot_clock

AFTER_JUMP_S = 3 * LOCK_TIMEOUT_S
"""Until every transaction that read the clock before it was set has ended.

One may wait for the others of this process, then for the lock of another program, and for files meanwhile.
"""
AGAIN_S = 5.0  # between two looks through the queue meanwhile


class LeaseUpkeep:
    """The upkeep of one run. Owned by one thread."""

    def __init__(self, library: Library, state: RunState, worker: str, lease_s: float) -> None:
        """`worker`: the holder of this run's leases; `lease_s`: how long one lasts."""
        self._library = library
        self._state = state
        self._worker = worker
        self._lease_s = lease_s
        self._done_at = -math.inf
        self._jumped_at = -math.inf
        # The first check must notice a jump, too.
        self._ahead_s = state.clock() - time.monotonic()
        self._ahead_of_boot_s = state.clock() - boot_clock.since_boot_s()

    def keep(self) -> float:
        """Renew and reclaim where it is due; return by how many seconds the clock was set since the last one.

        It is due three times in the length of a lease, and again at the next call where the library could
        not be written. After the clock was set or the machine slept it is due at once and every few seconds
        for a while: times that now lie in the future must not delay work, and a thread that waited for the
        library meanwhile may write one yet.
        """
        now, since_boot_s, clock = time.monotonic(), boot_clock.since_boot_s(), self._state.clock()
        jump_s, self._ahead_s = clock - now - self._ahead_s, clock - now
        set_s, self._ahead_of_boot_s = clock - since_boot_s - self._ahead_of_boot_s, clock - since_boot_s
        if abs(jump_s) > leases.CLOCK_SLACK_S:
            self._jumped_at, self._done_at = now, -math.inf
            log.info("the clock was set, or the machine slept", by_s=round(jump_s))
        has_jumped = now - self._jumped_at < AFTER_JUMP_S
        if now - self._done_at >= min(self._lease_s / 3, AGAIN_S if has_jumped else math.inf):
            with contextlib.suppress(Transient):
                with self._library.writing(BRIEF_TIMEOUT_S) as session:
                    leases.renew(session, self._worker, clock, self._lease_s)
                    leases.reclaim_expired(session, clock, self._lease_s)
                self._done_at = now  # else the next call tries again
            if has_jumped:
                self._state.wake()
        return set_s if abs(set_s) > leases.CLOCK_SLACK_S else 0.0
