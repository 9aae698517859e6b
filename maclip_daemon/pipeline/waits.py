"""The one model of waiting: what waits, for what and why, until when, and who ends it."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import structlog

from maclip_daemon.errors import FileChanged, MaclipError, NoAnswer
from maclip_daemon.library.queue.jobs import RetryPolicy
from maclip_daemon.processes import battery
from maclip_daemon.settings import JobSettings

EndedBy = Literal["time", "check", "event", "person"]
Kind = Literal[
    "spool",
    "decoder",
    "model",
    "power",
    "pause",
    "timed pause",
    "quiet hours",
    "metadata",
    "full disk",
    "offline disk",
    "root",
    "server",
    "settling",
    "database",
    "retry",
    "failed",
    "decisions",
]
RETRY_S = 30.0  # `jobs.pause_s` where there are no settings
POWER_CHECK_S = 10.0  # between checks of the battery; a few reads of the kernel's memory
ON_BATTERY = (
    "The machine runs on battery; photos are scored when it is plugged in (background.pause_on_battery)."
)
log = structlog.get_logger("maclip")


@dataclass(frozen=True)
class Resource:
    """What work waits for: something of this `kind`, and which one where there are several."""

    kind: Kind
    of: int | str = ""
    """A device number as the library stores it, or a folder."""

    def __str__(self) -> str:
        return {"full disk": f"disk {self.of}"}.get(self.kind, f"{self.kind} {self.of}".rstrip())


SPOOL, DECODER, MODEL = Resource("spool"), Resource("decoder"), Resource("model")
POWER, METADATA, DATABASE = Resource("power"), Resource("metadata"), Resource("database")
PAUSE, TIMED_PAUSE = Resource("pause"), Resource("timed pause")
QUIET_HOURS = Resource("quiet hours")
WANTED_PAUSES = (PAUSE, TIMED_PAUSE, QUIET_HOURS)
"""What a person asked for: nothing is missing, and nothing is tried meanwhile."""


@dataclass(frozen=True)
class _Rule:
    what: str
    ended_by: EndedBy
    is_pause: bool = False
    """Whether the log and the `pauses` of `maclip status` report it."""


_RULES: dict[Kind, _Rule] = {
    "spool": _Rule("scoring", "check", is_pause=True),
    "decoder": _Rule("scoring", "check", is_pause=True),
    "model": _Rule("scoring", "check", is_pause=True),
    "power": _Rule("scoring", "check", is_pause=True),
    "pause": _Rule("all work", "person", is_pause=True),
    "timed pause": _Rule("all work", "time", is_pause=True),
    "quiet hours": _Rule("all work", "time", is_pause=True),
    "metadata": _Rule("ratings", "check", is_pause=True),
    "full disk": _Rule("ratings on disk {of}", "check", is_pause=True),
    "database": _Rule("all work", "check", is_pause=True),
    "offline disk": _Rule("photos on disk {of}", "time"),
    "root": _Rule("photos below {of}", "check"),
    "server": _Rule("photos below {of}", "event"),
    "settling": _Rule("new files below {of}", "time"),
    "retry": _Rule("{of}", "time"),
    "failed": _Rule("{of}", "person"),
    "decisions": _Rule("{of} of the review page", "person"),
}


@dataclass(frozen=True)
class Wait:
    """One thing that waits."""

    what: str
    resource: Resource
    reason: str
    """A sentence."""
    since: float | None
    """Unix seconds; None: not known."""
    until: float | None
    """Unix seconds of the next try; None: not known."""
    ended_by: EndedBy
    """Time alone, the next try or check, an event, or a person."""

    @classmethod
    def of(cls, resource: Resource, reason: str, *, since: float | None, until: float | None) -> Wait:
        """Return the entry of a resource, with the words and the end of its kind."""
        rule = _RULES[resource.kind]
        return cls(rule.what.format(of=resource.of), resource, reason, since, until, rule.ended_by)

    @property
    def is_pause(self) -> bool:
        """Return whether something that all such work needs is missing."""
        return _RULES[self.resource.kind].is_pause

    def as_json(self) -> dict[str, Any]:
        """Return the entry for the daemon's note and `maclip status --json`."""
        return {**asdict(self), "resource": str(self.resource), "is_pause": self.is_pause}


class Waits:
    """All waits of one run. Thread-safe.

    A wait belongs to the one thing that is missing: a full disk stops the ratings of its own photos, not
    those of other disks.
    """

    def __init__(
        self,
        retry_s: float = RETRY_S,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Retry after `retry_s` by `clock`, which cannot be set; `wall_clock` is for display."""
        self._retry_s = retry_s
        self._clock = clock
        self._wall_clock = wall_clock
        self._waits: dict[Resource, tuple[Wait, float]] = {}
        self._lock = threading.Lock()

    def begin(self, resource: Resource, reason: str, *, for_s: float | None = None) -> bool:
        """Let work that needs `resource` wait, or wait longer; return whether that is news.

        `for_s`: seconds until the next try, else those of the run; infinite: until `end`.
        """
        wait_s = self._retry_s if for_s is None else for_s
        now = self._wall_clock()
        until = None if math.isinf(wait_s) else float(round(now + wait_s))
        with self._lock:
            for each in [each for each in self._waits if self._find(each) is None]:
                del self._waits[each]  # over by time alone: nobody else ends it
            known = self._find(resource)
            # The first photo of a full disk names its folder; the next ones are no news.
            if known is not None and resource.kind == "full disk":
                reason = known.reason
            wait = known or Wait.of(resource, reason, since=float(round(now)), until=until)
            if wait.until is None or until is None or abs(wait.until - until) > 1:
                wait = replace(wait, until=until)
            self._waits[resource] = replace(wait, reason=reason), self._clock() + wait_s
        is_news = known is None or known.reason != reason
        if is_news and _RULES[resource.kind].is_pause:
            retry = {} if until is None else {"retry_in_s": wait_s}
            log.warning("paused", resource=str(resource), reason=reason, **retry)
        return is_news

    def end(self, resource: Resource, *, if_over: bool = False) -> bool:
        """Let work that needs `resource` go on; return whether it waited.

        `if_over`: only after the time of the wait. Work that was under way when it began proves nothing.
        """
        with self._lock:
            known = self._waits.get(resource)
            if known is None or (if_over and known[1] > self._clock()):
                return False
            del self._waits[resource]
        if _RULES[resource.kind].is_pause:
            log.info("resumed", resource=str(resource))
        return True

    def is_waiting(self, *resources: Resource) -> bool:
        """Return whether work that needs one of these must still wait."""
        now = self._clock()
        with self._lock:
            return any(self._waits[each][1] > now for each in resources if each in self._waits)

    def devices(self, *kinds: Literal["full disk", "offline disk"]) -> list[int]:
        """Return the numbers of the devices of these kinds whose work must still wait."""
        now = self._clock()
        with self._lock:
            waiting = [each for each, (_, until) in self._waits.items() if until > now]
        return sorted({int(each.of) for each in waiting if each.kind in kinds})

    def list(self) -> list[Wait]:
        """Return all that waits, oldest first. A pause stays in the list until a try succeeds."""
        with self._lock:
            return [wait for each in list(self._waits) if (wait := self._find(each)) is not None]

    def reasons(self, *, disks: bool = True) -> dict[str, str]:
        """Return the reason of each pause by its resource; `disks`: with the full disks of photos."""
        return {
            str(wait.resource): wait.reason
            for wait in self.list()
            if wait.is_pause and (disks or wait.resource.kind != "full disk")
        }

    def _find(self, resource: Resource) -> Wait | None:
        wait, until = self._waits.get(resource, (None, 0.0))
        is_over = wait is not None and wait.ended_by == "time" and until <= self._clock()
        return None if is_over else wait


class PowerCheck:
    """A check that lets scoring wait while the machine runs on battery. Owned by one thread."""

    def __init__(
        self,
        waits: Waits,
        *,
        every_s: float = POWER_CHECK_S,
        on_battery: Callable[[], bool] = battery.on_battery,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._waits = waits
        self._every_s = every_s
        self._on_battery = on_battery
        self._clock = clock
        self._checked = -math.inf

    def check(self) -> None:
        """Begin or end the wait; reads the battery every `every_s` at most."""
        now = self._clock()
        if now - self._checked < self._every_s:
            return
        self._checked = now
        if self._on_battery():
            self._waits.begin(POWER, ON_BATTERY, for_s=math.inf)
        else:
            self._waits.end(POWER)


def retry_policy(settings: JobSettings, error: MaclipError) -> RetryPolicy:
    """Return how work is retried after `error`: without end where a program writes, or a server is silent."""
    attempts = sys.maxsize if isinstance(error, FileChanged) else settings.max_attempts
    return RetryPolicy(attempts, settings.retry_base_s, is_counted=not isinstance(error, NoAnswer))
