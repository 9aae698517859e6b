"""One run at a time writes into a results folder."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

from maclip_daemon.archive.storage import Pauses, Place, insist
from maclip_daemon.archive.whole_files import write_whole
from maclip_daemon.errors import AlreadyRunning, MaclipError
from maclip_daemon.files.paths import printable_utf8

NOTE = "_running.json"
BEAT_S = 15.0  # seconds between two signs of life
_DEAD_AFTER_S = 60.0  # seconds without one
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
        self._last = 0.0

    def now(self) -> None:
        """Write a sign of life, if the last one is old."""
        if self._clock() - self._last < BEAT_S:
            return
        note = {"run": self._run, "host": socket.gethostname(), "pid": os.getpid(), "at": self._clock()}
        write_whole(self._out, NOTE, json.dumps(note).encode(), self._pauses)
        self._last = self._clock()

    def end(self) -> None:
        """Let other runs begin."""
        path = self._out.below(NOTE)
        insist(lambda: self._out.file_system.rm_file(path), self._pauses, path)


def _refuse_other(out: Place, run: str, pauses: Pauses, now: float) -> None:
    path = out.below(NOTE)

    def read() -> bytes:
        out.file_system.invalidate_cache()
        return bytes(out.file_system.cat_file(path)) if out.file_system.exists(path) else b""

    try:
        note = json.loads(insist(read, pauses, path) or b"{}")
        other, host, pid, at = (
            note.get("run", run),
            note.get("host"),
            int(note.get("pid", 0)),
            float(note.get("at", 0)),
        )
    except ValueError:
        return  # cut off by a crash
    if (
        other == run
        or now - at > _DEAD_AFTER_S
        or (host == socket.gethostname() and not psutil.pid_exists(pid))
    ):
        return
    raise AlreadyRunning(
        f"Another run writes into {printable_utf8(out.path)} (process {pid} on {host}). Wait until it ends; "
        f"after a crash its mark counts for a minute."
    )
