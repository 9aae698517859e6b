"""One run at a time writes into a results folder."""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

from maclip_daemon.archive.storage import Pauses, Place, insist, is_there
from maclip_daemon.archive.whole_files import write_whole
from maclip_daemon.errors import AlreadyRunning, MaclipError
from maclip_daemon.files.paths import printable_utf8

NOTE = "_running.json"
BEAT_S = 15.0  # seconds between two signs of life
_DEAD_AFTER_S = 60.0  # seconds without one
_WATCHED_S = 2 * BEAT_S  # seconds in which a run that lives shows it, even on a slow storage
_SETTLE_S = 0.5  # seconds in which two runs that begin together see each other


@contextmanager
def locked(out: Place, run: str, pauses: Pauses, clock: Callable[[], float] = time.time) -> Iterator[Beat]:
    """Hold the results folder for this run; yield what keeps the hold alive. Raises `AlreadyRunning`."""
    _refuse_other(out, run, pauses, clock())
    beat = Beat(out, run, pauses, clock)
    beat.now()
    time.sleep(_SETTLE_S)
    _refuse_other(out, run, pauses, clock())
    try:
        yield beat
    finally:
        with contextlib.suppress(MaclipError):
            beat.end()


class Beat:
    """The sign of life of a run, in its results folder."""

    def __init__(self, out: Place, run: str, pauses: Pauses, clock: Callable[[], float]) -> None:
        self._out = out
        self._run = run
        self._pauses = pauses
        self._clock = clock
        self._last = -math.inf

    def now(self) -> None:
        """Write a sign of life, if the last one is old by a clock that nobody sets."""
        if time.monotonic() - self._last < BEAT_S:
            return
        note = {"run": self._run, "host": socket.gethostname(), "pid": os.getpid(), "at": self._clock()}
        write_whole(self._out, NOTE, json.dumps(note).encode(), self._pauses)
        self._last = time.monotonic()

    def end(self) -> None:
        """Let other runs begin."""
        path = self._out.below(NOTE)
        insist(lambda: self._out.file_system.rm_file(path), self._pauses, path)


def _refuse_other(out: Place, run: str, pauses: Pauses, now: float) -> None:
    path = out.below(NOTE)

    def read() -> bytes:
        out.file_system.invalidate_cache()
        return bytes(out.file_system.cat_file(path)) if is_there(out.file_system, path) else b""

    written = insist(read, pauses, path)
    try:
        note = json.loads(written or b"{}")
        other, host, pid, at = (
            note.get("run", run),
            note.get("host"),
            int(note.get("pid", 0)),
            float(note.get("at", 0)),
        )
    except ValueError:
        return  # cut off by a crash
    if other == run or (host == socket.gethostname() and not psutil.pid_exists(pid)):
        return
    if abs(now - at) > _DEAD_AFTER_S:  # or its machine's clock is another one: does it still change?
        time.sleep(_WATCHED_S)
        if insist(read, pauses, path) in (written, b""):
            return
    raise AlreadyRunning(
        f"Another run writes into {printable_utf8(out.path)} (process {pid} on {host}). Wait until it ends; "
        f"after a crash its mark counts for a minute."
    )
