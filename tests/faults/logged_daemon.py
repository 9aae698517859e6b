"""A daemon that logs to a file: readable while it runs, and never blocked by a full pipe."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from tests.homes import TIMEOUT_S, Home

SAMPLE_S = 0.1  # between samples of a process's memory


class LoggedDaemon:
    """A daemon of a home, optionally started by a wrapper (`unshare`, `strace`)."""

    def __init__(
        self, home: Home, wrapper: Sequence[str], folders: Sequence[Path], environment: dict[str, str]
    ):
        self.log = home.folder / "daemon.log"
        command = [sys.executable, "-m", "maclip_daemon", "run", *map(str, folders or (home.photos,))]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*wrapper, *command], env=home.environment | environment, stdout=log, stderr=log
            )

    def log_text(self) -> str:
        """Return the log of this daemon and its predecessors in the same home."""
        return self.log.read_text("utf-8", "replace")

    def sum_in_log(self, event: str, name: str) -> int:
        """Return the sum of the numbers `name=…` over the log lines of `event`."""
        lines = [line for line in self.log_text().splitlines() if f"] {event} " in line]
        return sum(
            int(word.partition("=")[2]) for line in lines for word in line.split() if f"{name}=" in word
        )

    def stop(self) -> str:
        """Terminate the daemon as the service manager does, and return the log."""
        self.process.terminate()
        self.process.wait(TIMEOUT_S)
        return self.log_text()


@contextlib.contextmanager
def running(
    home: Home, *folders: Path, wrapper: Sequence[str] = (), **environment: str
) -> Iterator[LoggedDaemon]:
    """Start a daemon on folders (by default the home's photos), and always end it."""
    daemon = LoggedDaemon(home, wrapper, folders, environment)
    try:
        yield daemon
    finally:
        if daemon.process.poll() is None:
            daemon.process.kill()
            daemon.process.wait()


class Memory:
    """The resident memory of a process and its peak, sampled by a thread of its own."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self.before = self.peak = self._process.memory_info().rss
        """Bytes, at the start and at the peak."""
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def grown(self) -> int:
        """Stop sampling and return the growth at the peak, in bytes."""
        self._ended.set()
        self._thread.join()
        return self.peak - self.before

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            with contextlib.suppress(psutil.Error):
                self.peak = max(self.peak, self._process.memory_info().rss)
