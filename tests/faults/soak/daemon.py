"""The daemon of the soak: what it says goes to a file, and what it takes is measured at quiet moments."""

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

MEMORY_ALLOWANCE = 20 << 20  # bytes, beyond what SQLite's page caches keep of a database that grew
CONNECTIONS = 8  # each with a page cache of its own
THREADS_ALLOWANCE = 2  # the watcher's timer between the halves of a rename
FILES_ALLOWANCE = 6  # pipes of a child that was just started
DECODERS = 2
MOST_CHILDREN = DECODERS + 3  # the scorer, the metadata process; one that is being replaced
MOST_WAL = 32 << 20  # bytes
DATABASE_BYTES = 4 << 20  # of an almost empty one
DATABASE_BYTES_A_ROW = 40_000  # a photo's row, scores, and journal with what undo needs
LIFE_TO_JUDGE = 8  # quiet moments of one process, below which its quarters say nothing
WORDS_KEPT = 6000  # characters of the log, when a test fails
END_S = 60


@dataclass(frozen=True)
class Size:
    """What the daemon takes."""

    pid: int
    memory: int
    """Bytes in memory, of the parent alone."""
    threads: int
    files: int
    children: int
    database: int
    wal: int


class SoakedDaemon:
    """The daemon process of the moment."""

    def __init__(self, home: Home) -> None:
        self._home = home
        # A pipe that nobody reads would stop it after 64 KiB of words.
        self._log = home.folder / "daemon.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._said_before = 0

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process, which must be there and alive."""
        assert self._process is not None
        assert self._process.poll() is None, f"the daemon ended by itself: {self.said()}"
        return self._process

    def start(self) -> None:
        """Begin anew."""
        with self._log.open("ab") as log:
            self._said_before = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "maclip_daemon", "run", str(self._home.photos)],
                env=self._home.environment | {"MACLIP_DECODING__WORKERS": str(DECODERS)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def signal(self, number: int) -> None:
        """Send it a signal once it obeys: before that the system would end it, as any process."""
        until(lambda: self.process.pid and self._is_watching(), "the daemon watches")
        self.process.send_signal(number)

    def end(self, number: int) -> None:
        """Send a signal that ends it, and wait."""
        process = self.process
        if number == signal.SIGKILL:
            process.kill()
        else:
            self.signal(number)
        process.wait(END_S)
        assert number == signal.SIGKILL or process.returncode == 0, self.said()

    def kill_a_child(self, chance: random.Random) -> str:
        """End one of its children with SIGKILL; which, or nothing when there was none."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        if not children:
            return ""
        child = chance.choice(children)
        try:
            words = child.cmdline()
            child.kill()
        except psutil.NoSuchProcess:
            return ""
        return f"kill -9 of {next((word for word in words if word.startswith('maclip_daemon.')), 'a child')}"

    def size(self) -> Size:
        """Measure it."""
        seen = psutil.Process(self.process.pid)
        database = self._home.data / "library.db"
        wal = database.with_name("library.db-wal")
        return Size(
            pid=seen.pid,
            memory=seen.memory_info().rss,
            threads=seen.num_threads(),
            files=seen.num_fds(),
            children=len(seen.children(recursive=True)),
            database=database.stat().st_size,
            wal=wal.stat().st_size if wal.exists() else 0,
        )

    def _is_watching(self) -> bool:
        with self._log.open("rb") as log:
            log.seek(self._said_before)
            return b" watching " in log.read()

    def said(self) -> str:
        """The end of its log."""
        return self._log.read_text("utf-8", "replace")[-WORDS_KEPT:]

    def close(self) -> None:
        """End it whatever it does."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(END_S)


def lives(sizes: list[Size]) -> list[list[Size]]:
    """The sizes of each process in turn."""
    return [[size for size in sizes if size.pid == pid] for pid in dict.fromkeys(size.pid for size in sizes)]


def judge(sizes: list[Size], rows: int) -> None:
    """Nothing grew: neither what one process takes, nor the number of children, nor the database unduly.

    `rows`: the photos that the database knows. Compares the last quarter of a life with its first.
    """
    assert max(size.children for size in sizes) <= MOST_CHILDREN, sizes
    assert max(size.wal for size in sizes) <= MOST_WAL, sizes
    assert sizes[-1].database <= DATABASE_BYTES + rows * DATABASE_BYTES_A_ROW, (rows, sizes[-1])
    for life in lives(sizes):
        if len(life) >= LIFE_TO_JUDGE:
            grown = growth(life)
            cached = CONNECTIONS * min(max(0, grown["database"]), CACHE_KIB << 10)
            assert grown["memory"] - cached <= MEMORY_ALLOWANCE, (grown, life)
            assert grown["threads"] <= THREADS_ALLOWANCE, (grown, life)
            assert grown["files"] <= FILES_ALLOWANCE, (grown, life)


def growth(life: list[Size]) -> dict[str, float]:
    """How much more the last quarter of a life takes than the first, in the middle."""
    quarter = max(1, len(life) // 4)
    return {
        name: statistics.median(getattr(size, name) for size in life[-quarter:])
        - statistics.median(getattr(size, name) for size in life[1 : 1 + quarter])
        for name in ("memory", "threads", "files", "database")
    }
