"""The daemon of the soak test: it logs to a file, and its resources are measured between rounds."""

from __future__ import annotations

import random
import signal
import statistics
import subprocess
import sys
from dataclasses import dataclass

import psutil

from maclip_daemon.library.storage.connections import CACHE_KIB
from tests.homes import Home, until

MEMORY_ALLOWANCE = 20 << 20  # bytes, in addition to SQLite's page caches of a grown database
CONNECTIONS = 8  # each with its own page cache
THREADS_ALLOWANCE = 2  # the watcher's timer between the halves of a rename
FILES_ALLOWANCE = 6  # pipes of a newly started child
DECODERS = 2
MAXIMUM_CHILDREN = DECODERS + 3  # the scorer, the metadata process, and a child during its replacement
MAXIMUM_WAL = 32 << 20  # bytes
DATABASE_BYTES = 4 << 20  # of an almost empty one
DATABASE_BYTES_A_ROW = 40_000  # a photo's row, scores, and journal with what undo needs
MINIMUM_SAMPLES = 8  # of one process; with fewer, its quarters cannot be compared
LOG_CHARACTERS = 6000  # of the log, printed when a test fails
STOP_TIMEOUT_S = 60


@dataclass(frozen=True)
class Usage:
    """Resources that the daemon uses at one moment."""

    pid: int
    memory: int
    """Resident bytes of the parent process alone."""
    threads: int
    files: int
    children: int
    database: int
    wal: int


class SoakedDaemon:
    """Starts, signals, stops and measures the daemon."""

    def __init__(self, home: Home) -> None:
        self._home = home
        # An unread pipe would block the daemon after 64 KiB of output.
        self._log = home.folder / "daemon.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """Return the running process; fail the test when it has ended."""
        assert self._process is not None
        assert self._process.poll() is None, f"the daemon ended unexpectedly: {self.log_tail()}"
        return self._process

    def start(self) -> None:
        """Start a new daemon process."""
        with self._log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "maclip_daemon", "run", str(self._home.photos)],
                env=self._home.environment | {"MACLIP_DECODING__WORKERS": str(DECODERS)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def signal(self, number: int) -> None:
        """Send a signal once its handlers are installed; before that the signal would end the process."""
        until(lambda: self.process.pid and self._is_watching(), "the daemon watches")
        self.process.send_signal(number)

    def stop(self, number: int) -> None:
        """Stop the daemon with a signal, and wait."""
        process = self.process
        if number == signal.SIGKILL:
            process.kill()
        else:
            self.signal(number)
        process.wait(STOP_TIMEOUT_S)
        assert number == signal.SIGKILL or process.returncode == 0, self.log_tail()

    def kill_a_child(self, chance: random.Random) -> str:
        """Kill one of its children; return a description, or an empty text without children."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        if not children:
            return ""
        child = chance.choice(children)
        try:
            command = child.cmdline()
            child.kill()
        except psutil.NoSuchProcess:
            return ""
        return (
            f"kill -9 of {next((word for word in command if word.startswith('maclip_daemon.')), 'a child')}"
        )

    def measure_usage(self) -> Usage:
        """Measure the daemon's resources now."""
        process = psutil.Process(self.process.pid)
        database = self._home.data / "library.db"
        wal = database.with_name("library.db-wal")
        return Usage(
            pid=process.pid,
            memory=process.memory_info().rss,
            threads=process.num_threads(),
            files=process.num_fds(),
            children=len(process.children(recursive=True)),
            database=database.stat().st_size,
            wal=wal.stat().st_size if wal.exists() else 0,
        )

    def _is_watching(self) -> bool:
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            return b" watching " in log.read()

    def log_tail(self) -> str:
        """Return the end of its log."""
        return self._log.read_text("utf-8", "replace")[-LOG_CHARACTERS:]

    def close(self) -> None:
        """Kill the daemon if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(STOP_TIMEOUT_S)


def samples_by_process(samples: list[Usage]) -> list[list[Usage]]:
    """Return the samples of each daemon process, in order."""
    return [
        [size for size in samples if size.pid == pid] for pid in dict.fromkeys(size.pid for size in samples)
    ]


def check_growth(samples: list[Usage], rows: int) -> None:
    """Assert that no resource of a process grew, and that children and database stay bounded.

    Compares the last quarter of each process's samples with the first. `rows`: photos in the database.
    """
    assert max(size.children for size in samples) <= MAXIMUM_CHILDREN, samples
    assert max(size.wal for size in samples) <= MAXIMUM_WAL, samples
    assert samples[-1].database <= DATABASE_BYTES + rows * DATABASE_BYTES_A_ROW, (rows, samples[-1])
    for life in samples_by_process(samples):
        if len(life) >= MINIMUM_SAMPLES:
            grown = growth(life)
            cached = CONNECTIONS * min(max(0, grown["database"]), CACHE_KIB << 10)
            assert grown["memory"] - cached <= MEMORY_ALLOWANCE, (grown, life)
            assert grown["threads"] <= THREADS_ALLOWANCE, (grown, life)
            assert grown["files"] <= FILES_ALLOWANCE, (grown, life)


def growth(life: list[Usage]) -> dict[str, float]:
    """Return the growth from the first to the last quarter of the samples, by median."""
    quarter = max(1, len(life) // 4)
    return {
        name: statistics.median(getattr(size, name) for size in life[-quarter:])
        - statistics.median(getattr(size, name) for size in life[1 : 1 + quarter])
        for name in ("memory", "threads", "files", "database")
    }
