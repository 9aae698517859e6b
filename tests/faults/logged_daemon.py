"""A daemon whose log goes to a file, so that it can be read while it runs and never fills a pipe."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from tests.homes import TIMEOUT_S, Home

SAMPLE_S = 0.1  # between looks at the memory of a process


class LoggedDaemon:
    """A daemon of a home, perhaps below another program (`unshare`, `strace`)."""

    def __init__(
        self, home: Home, below: Sequence[str], folders: Sequence[Path], environment: dict[str, str]
    ):
        self.log = home.folder / "daemon.log"
        command = [sys.executable, "-m", "maclip_daemon", "run", *map(str, folders or (home.photos,))]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*below, *command], env=home.environment | environment, stdout=log, stderr=log
            )

    def said(self) -> str:
        """All that this daemon and its predecessors in the same home have logged."""
        return self.log.read_text("utf-8", "replace")

    def counted(self, event: str, name: str) -> int:
        """The sum of the numbers `name=…` of every log line about `event`."""
        lines = [line for line in self.said().splitlines() if f"] {event} " in line]
        return sum(
            int(word.partition("=")[2]) for line in lines for word in line.split() if f"{name}=" in word
        )

    def stop(self) -> str:
        """End it as the service manager would, and return all it said."""
        self.process.terminate()
        self.process.wait(TIMEOUT_S)
        return self.said()


@contextlib.contextmanager
def running(
    home: Home, *folders: Path, below: Sequence[str] = (), **environment: str
) -> Iterator[LoggedDaemon]:
    """Start a daemon on folders (the home's photos when none is named), and end it whatever happens."""
    daemon = LoggedDaemon(home, below, folders, environment)
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
        """Bytes, at the first look and at the most."""
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def grown(self) -> int:
        """Stop looking; by how many bytes the process had grown at its peak."""
        self._ended.set()
        self._thread.join()
        return self.peak - self.before

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            with contextlib.suppress(psutil.Error):
                self.peak = max(self.peak, self._process.memory_info().rss)
