"""Departures: first halves of renames that wait for their second."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from maclip_daemon.folders.watched_tree import WatchedFolder

# The kernel queues both halves of a rename together; only another process's event can come between them.
MOVE_PAIR_S = 0.3
CLOSE_TIMEOUT_S = 10  # for a consumer that is in the middle of an event


class Departed(NamedTuple):
    """What left a watched folder."""

    folder: WatchedFolder
    name: str
    is_folder: bool


class Departures:
    """First halves of renames. Where no second half follows, the file or folder went out of the root."""

    def __init__(self, lock: threading.RLock, on_gone: Callable[[Departed], None]) -> None:
        """`on_gone` is called with the lock held, in the caller's thread or in the timer's.

        All methods but `close` are called with the lock held, too.
        """
        self._lock = lock
        self._on_gone = on_gone
        self._waiting: dict[int, Departed] = {}  # by the rename's cookie
        self._timer: threading.Timer | None = None
        self._last_timer: threading.Timer | None = None
        self._closed = False

    def add(self, cookie: int, departed: Departed) -> None:
        """Wait for the second half of this rename."""
        self._waiting[cookie] = departed
        if self._timer is None:
            self._start_timer()

    def take(self, cookie: int) -> Departed | None:
        """Return the first half of a rename whose second half has come."""
        return self._waiting.pop(cookie, None)

    def place_taken(self, folder: WatchedFolder, name: str) -> None:
        """Let a folder go that left this place: something else is there now, so it went out of the root."""
        before = Departed(folder, name, is_folder=True)
        self._give_up({cookie for cookie, departed in self._waiting.items() if departed == before})

    def clear(self) -> None:
        """Forget all."""
        self._waiting.clear()

    def close(self) -> None:
        """End the waiting; `on_gone` is not called after it returned."""
        self._closed = True
        _end(self._last_timer)  # it may start another one until it has ended
        _end(self._timer)

    def _start_timer(self) -> None:
        self._timer = threading.Timer(MOVE_PAIR_S, self._on_timer, [set(self._waiting)])
        self._timer.daemon = True
        self._timer.start()

    def _on_timer(self, cookies: set[int]) -> None:
        with self._lock:
            self._last_timer, self._timer = self._timer, None
            self._give_up(cookies)
            if self._waiting and not self._closed:
                self._start_timer()

    def _give_up(self, cookies: set[int]) -> None:
        for cookie in cookies & self._waiting.keys():
            self._on_gone(self._waiting.pop(cookie))


def _end(timer: threading.Timer | None) -> None:
    if timer is not None:
        timer.cancel()
        if timer is not threading.current_thread():
            timer.join(CLOSE_TIMEOUT_S)
