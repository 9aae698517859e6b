"""A bulk run as a process that tests watch by its metrics, and kill."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import psutil

from tests.homes import Home, until

TIMEOUT_S = 900  # Ray starts a dozen processes, on a loaded machine


class ArchiveProcess:
    """`maclip archive` with `--listen`. A context manager that ends it."""

    def __init__(self, home: Home, *arguments: str | Path, **environment: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        listen = ["--listen", f"127.0.0.1:{self._port}"]
        self._log = home.folder / f"archive-{self._port}.log"
        # The home was made before the storage.
        storage = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "RAY_"))}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "maclip_daemon", "archive", *map(str, arguments), *listen],
                env=home.environment | storage | environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> ArchiveProcess:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(60)

    @property
    def output(self) -> str:
        return self._log.read_text("utf-8", "replace")

    def processed(self) -> int:
        """Return how many photos were scored or failed, by the metrics."""
        assert self._process.poll() is None, self.output
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=10) as answer:
                text = answer.read().decode()
        except (urllib.error.URLError, ConnectionError):
            return 0
        found = re.findall(r"^maclip_photos_processed_total\{outcome=\"\w+\"\} (\S+)$", text, re.MULTILINE)
        return int(sum(map(float, found)))

    def wait_for(self, photos: int) -> None:
        until(lambda: self.processed() >= photos, f"{photos} photos: {self.output}", TIMEOUT_S)

    def end(self) -> int:
        """Wait until it ends; return its exit code."""
        return self._process.wait(TIMEOUT_S)

    def kill(self) -> None:
        """End it with -9, and wait until Ray's processes have noticed."""
        children = psutil.Process(self._process.pid).children(recursive=True)
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        _, alive = psutil.wait_procs(children, TIMEOUT_S)
        assert alive == []


def workers_of(stage: str) -> list[psutil.Process]:
    """Return the workers of a stage on the machines that this test has started."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just ended
            if f"MapBatches({stage})" in " ".join(process.cmdline()):
                found.append(process)
    return found
