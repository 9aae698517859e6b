"""What the threads of one run share: the wish to stop, pauses, counts, and whoever listens to progress."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from maclip_daemon.folders.filesystem_probe import FILESYSTEM_TIMEOUT_S, FilesystemProbe
from maclip_daemon.pipeline.heartbeat import Heartbeat
from maclip_daemon.pipeline.pauses import AwayDisks, Pauses

PAUSE_S = 30.0  # `jobs.pause_s` where no settings are at hand
LOOK_AT_ROOT_S = 2.0  # until the folders thread has looked at a root that seems to be away
log = structlog.get_logger("maclip")


@dataclass(frozen=True)
class FailedPhoto:
    """A photo that this run could not score, and why."""

    path: Path
    reason: str


@dataclass
class Tally:
    """What this run has done so far."""

    scored: int = 0
    copied: int = 0
    """Scores taken over from the same pixels under another name."""
    rated: int = 0
    kept: int = 0
    """Photos whose rating is a person's and was left alone."""
    skipped: int = 0
    """Photos whose rating could not be written; the reason is in the library."""
    failed: list[FailedPhoto] = field(default_factory=list)
    offline: list[str] = field(default_factory=list)
    """Why which watched folder could not be scanned."""


class RunState:
    """One run of the pipeline, from its start to its stop. Thread-safe."""

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        pause_s: float = PAUSE_S,
        filesystem_timeout_s: float = FILESYSTEM_TIMEOUT_S,
    ) -> None:
        """`jobs.pause_s` and `folders.filesystem_timeout_s` of the settings."""
        self.clock = clock
        self.began_at = clock()
        self.pauses = Pauses(pause_s)
        self.away = AwayDisks(pause_s)
        self.heartbeat = Heartbeat()
        self.tally = Tally()
        self.fatal: BaseException | None = None
        self.is_calibrated = False
        """Whether new scores have stars at once; set by the rating thread."""
        self.stopping = threading.Event()
        self.probe = FilesystemProbe(filesystem_timeout_s, self.stopping)
        self.work_arrived = threading.Condition()
        self._lock = threading.Lock()

    def count(
        self, *, scored: int = 0, copied: int = 0, rated: int = 0, kept: int = 0, skipped: int = 0
    ) -> None:
        """Add to the tally."""
        with self._lock:
            self.tally.scored += scored
            self.tally.copied += copied
            self.tally.rated += rated
            self.tally.kept += kept
            self.tally.skipped += skipped

    def stop(self, because: BaseException | None = None) -> None:
        """Ask every thread to end; `because` is the error that makes it impossible to go on."""
        if because is not None and self.fatal is None:
            self.fatal = because
        self.stopping.set()
        self.wake()

    def wake(self) -> None:
        """Wake every thread that waits for work."""
        with self.work_arrived:
            self.work_arrived.notify_all()

    def wait_for_work(self, timeout_s: float) -> None:
        """Sleep until work arrives, the run stops, or the time is over."""
        with self.work_arrived:
            if not self.stopping.is_set():
                self.work_arrived.wait(timeout_s)


def in_thread(state: RunState, name: str, work: Callable[[], None]) -> threading.Thread:
    """Start `work` in a thread of its own. An error that it does not handle stops the run and is kept."""

    def guarded() -> None:
        try:
            work()
        except Exception as error:
            log.exception("stopped by an unexpected error", part=name)
            state.stop(error)
        finally:
            state.heartbeat.end(name)

    thread = threading.Thread(target=guarded, name=name, daemon=True)
    thread.start()
    return thread
