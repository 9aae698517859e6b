"""Pauses: which work rests because something it needs is not there, why, and until when it is tried again."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import structlog

log = structlog.get_logger("maclip")


@dataclass(frozen=True)
class PhotoDisk:
    """The file system that some photos are on."""

    device: int
    """Its number, as the library has it for these photos."""

    def __str__(self) -> str:
        return f"disk {self.device}"


Resource = Literal["spool", "decoder", "model", "metadata", "power"] | PhotoDisk


@dataclass(frozen=True)
class _Pause:
    reason: str
    until: float


class Pauses:
    """The pauses of one run. Thread-safe.

    A pause belongs to the one thing that is missing: a full disk stops the ratings of its own photos, not
    those of the other disks.
    """

    def __init__(self, pause_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`pause_s`: seconds before work that rests is tried again."""
        self._pause_s = pause_s
        self._clock = clock
        self._pauses: dict[Resource, _Pause] = {}
        self._lock = threading.Lock()

    def begin(self, resource: Resource, reason: str, *, lasting: bool = False) -> None:
        """Let work that needs `resource` rest for a while; a pause that goes on is not said again.

        `lasting`: it is not tried whether it is there again; `end` will say so.
        """
        with self._lock:
            known = self._pauses.get(resource)
            # The first photo of a full disk names its folder; the next ones are no news.
            said = known.reason if known is not None and isinstance(resource, PhotoDisk) else reason
            self._pauses[resource] = _Pause(said, math.inf if lasting else self._clock() + self._pause_s)
        if known is None or known.reason != said:
            retry = {} if lasting else {"retry_in_s": self._pause_s}
            log.warning("paused", resource=str(resource), reason=reason, **retry)

    def end(self, resource: Resource, *, if_over: bool = False) -> None:
        """Say that `resource` is there again.

        `if_over`: only when its time is over: work that was in hand when the pause began proves nothing.
        """
        with self._lock:
            known = self._pauses.get(resource)
            if known is None or (if_over and known.until > self._clock()):
                return
            del self._pauses[resource]
        log.info("resumed", resource=str(resource))

    def any_of(self, *resources: Resource) -> bool:
        """Whether work that needs one of these must still rest."""
        now = self._clock()
        with self._lock:
            return any(self._pauses[each].until > now for each in resources if each in self._pauses)

    def disks(self) -> list[int]:
        """The device numbers of the photo disks whose work must still rest."""
        now = self._clock()
        with self._lock:
            resting = [each for each, pause in self._pauses.items() if pause.until > now]
        return sorted(each.device for each in resting if isinstance(each, PhotoDisk))

    def reasons(self, *, disks: bool = True) -> dict[str, str]:
        """Why which work rests, for `maclip status`; `disks`: with the full disks of photos."""
        with self._lock:
            return {
                str(resource): pause.reason
                for resource, pause in self._pauses.items()
                if disks or not isinstance(resource, PhotoDisk)
            }


class AwayDisks:
    """File systems that could not be read, or did not answer, a moment ago. Thread-safe.

    Their work is left for a while: until somebody had time to look at their root, and to say what is wrong.
    """

    def __init__(self, rest_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`rest_s`: seconds before work on such a disk is tried again."""
        self._rest_s = rest_s
        self._clock = clock
        self._until: dict[int, float] = {}
        self._lock = threading.Lock()

    def add(self, device: int) -> None:
        """Leave the work on this device (its number, as the library has it) for a while."""
        with self._lock:
            self._until[device] = self._clock() + self._rest_s

    def devices(self) -> list[int]:
        """The devices whose work is to be left for now."""
        now = self._clock()
        with self._lock:
            self._until = {device: until for device, until in self._until.items() if until > now}
            return sorted(self._until)
