"""Tell of trouble once: a folder that is away, a full disk, and what else needs a person."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from maclip_daemon.pipeline.waits import Kind, Wait

Event = Literal["finished", "folder", "disk", "failure"]
FOLDER_AFTER_S = 60.0  # a share that comes back sooner was no trouble
TELL_AGAIN_S = 3600.0  # after trouble that comes and goes
_EVENTS: dict[Kind, Event] = {
    "root": "folder",
    "server": "folder",
    "full disk": "disk",
    "spool": "disk",
    "decoder": "failure",
    "model": "failure",
    "metadata": "failure",
}


@dataclass(frozen=True)
class Trouble:
    """Something that holds back work and needs a person."""

    event: Event
    reason: str


class TroubleWatch:
    """What a daemon has told already. Owned by one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self._is_told: set[str] = set()
        self._lasting: set[str] = set()
        """What is no passing trouble, told or not."""

    @property
    def stops_work(self) -> bool:
        """Whether something that lasts is more than a folder that is away."""
        return any(not each.startswith(("root ", "server ")) for each in self._lasting)

    def update(self, waits: Iterable[Wait]) -> list[Trouble]:
        """Return the trouble that is news."""
        now = self._clock()
        present = {str(wait.resource): wait for wait in waits if wait.resource.kind in _EVENTS}
        self._since = {name: self._since.get(name, now) for name in present}
        self._is_told &= present.keys()
        self._lasting = {
            name
            for name, wait in present.items()
            if now - self._since[name] >= (FOLDER_AFTER_S if _EVENTS[wait.resource.kind] == "folder" else 0.0)
        }
        news = []
        for name, wait in present.items():
            is_due = now - self._told.get(name, now - TELL_AGAIN_S) >= TELL_AGAIN_S
            if name in self._lasting - self._is_told and is_due:
                self._is_told.add(name)
                self._told[name] = now
                news.append(Trouble(_EVENTS[wait.resource.kind], wait.reason))
        return news
