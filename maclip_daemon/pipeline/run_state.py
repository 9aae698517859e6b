"""State that the threads of one run share: the request to stop, waits, counts and heartbeats."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog

from maclip_daemon.errors import MaclipError
from maclip_daemon.folders.filesystem_probe import FILESYSTEM_TIMEOUT_S, FilesystemProbe
from maclip_daemon.folders.passed_over import PassedOver
from maclip_daemon.library.storage.database import Library
from maclip_daemon.pipeline.heartbeat import Heartbeat
from maclip_daemon.pipeline.stage_times import StageTimes
from maclip_daemon.pipeline.waits import RETRY_S, Waits
from maclip_daemon.processes import boot_clock
from maclip_daemon.settings import Settings

RATED_KEPT = 500  # rated photos, between two looks at them
ROOT_CHECK_S = 2.0  # until the folders thread has checked a root that seems to be offline
log = structlog.get_logger("maclip")


@dataclass(frozen=True)
class FailedPhoto:
    """A photo that this run could not score, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class WrittenStars:
    """A photo whose stars were written a moment ago."""

    path: str
    stars: int


@dataclass
class Tally:
    """What this run has done so far."""

    scored: int = 0
    copied: int = 0
    """Scores taken over from the same pixels under another name."""
    imported: int = 0
    """Scores of the same pixels taken over from an archive's results."""
    rated: int = 0
    kept: int = 0
    """Photos that a person rated; their rating was left alone."""
    skipped: int = 0
    """Photos whose rating could not be written; the reason is in the library."""
    adopted: int = 0
    """Photos whose stars another library had written; this one has taken them over."""
    contested: int = 0
    """Photos whose stars another library rewrites; they were left alone."""
    shared: list[str] = field(default_factory=list)
    """One sentence for each watched folder in which another library rates photos too."""
    failed: list[FailedPhoto] = field(default_factory=list)
    passed_over: PassedOver = field(default_factory=PassedOver)
    offline: list[str] = field(default_factory=list)
    """One reason for each watched folder that could not be scanned."""


class Roots(Protocol):
    """The watched roots, as the scoring and rating stages need them. Thread-safe."""

    def is_offline(self, path: str) -> bool:
        """Return whether the root of a photo cannot be read at the moment."""

    def check_photo_soon(self, path: str) -> None:
        """Check a photo again; another program may be writing it."""

    def check_root_soon(self, path: str) -> None:
        """Check the health of a photo's root again."""


class RunState:
    """One run of the pipeline, from its start to its stop. Thread-safe."""

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        pause_s: float = RETRY_S,
        filesystem_timeout_s: float = FILESYSTEM_TIMEOUT_S,
    ) -> None:
        """Retry pauses after `pause_s`; give a file system `filesystem_timeout_s` to respond."""
        self.clock = clock
        self.began_at = clock()
        self.began_since_boot_s = boot_clock.since_boot_s()
        self.waits = Waits(pause_s)
        self.heartbeat = Heartbeat()
        self.stage_times = StageTimes()
        self.tally = Tally()
        self._rated: deque[WrittenStars] = deque(maxlen=RATED_KEPT)
        self.fatal: BaseException | None = None
        self.is_calibrated = False
        """Whether new scores have stars at once; set by the rating thread."""
        self.stopping = threading.Event()
        self.probe = FilesystemProbe(filesystem_timeout_s, self.stopping)
        self.work_arrived = threading.Condition()
        self._lock = threading.Lock()

    def count(
        self,
        *,
        scored: int = 0,
        copied: int = 0,
        imported: int = 0,
        rated: int = 0,
        kept: int = 0,
        skipped: int = 0,
        adopted: int = 0,
        contested: int = 0,
    ) -> None:
        """Add to the tally."""
        with self._lock:
            self.tally.scored += scored
            self.tally.copied += copied
            self.tally.imported += imported
            self.tally.rated += rated
            self.tally.kept += kept
            self.tally.skipped += skipped
            self.tally.adopted += adopted
            self.tally.contested += contested

    def note_rated(self, photo: WrittenStars) -> None:
        """Remember a rated photo for whoever shows it."""
        with self._lock:
            self._rated.append(photo)

    def take_rated(self) -> list[WrittenStars]:
        """Return the photos that were rated since the last call, the latest few hundred at most."""
        with self._lock:
            rated = list(self._rated)
            self._rated.clear()
        return rated

    def stop(self, because: BaseException | None = None) -> None:
        """Ask every thread to end; `because` is the error that ends the run, if any."""
        if because is not None and self.fatal is None:
            self.fatal = because
        self.stopping.set()
        self.wake()

    def wake(self) -> None:
        """Wake every thread that waits for work."""
        with self.work_arrived:
            self.work_arrived.notify_all()

    def wait_for_work(self, timeout_s: float) -> None:
        """Sleep until work arrives, the run stops, or `timeout_s` is over."""
        with self.work_arrived:
            if not self.stopping.is_set():
                self.work_arrived.wait(timeout_s)


@dataclass(frozen=True)
class StageContext:
    """What every stage of a run works with."""

    library: Library
    state: RunState
    settings: Settings
    scoring_config_id: int
    worker: str
    """The holder of this run's leases."""


def in_thread(state: RunState, name: str, work: Callable[[], None]) -> threading.Thread:
    """Start `work` in a thread and return it. An error that it does not handle stops the run."""

    def guarded() -> None:
        try:
            work()
        except MaclipError as error:
            state.stop(error)  # the supervisor says what it is
        except Exception as error:
            log.exception("stopped by an unexpected error", part=name)
            state.stop(error)
        finally:
            state.heartbeat.end(name)

    thread = threading.Thread(target=guarded, name=name, daemon=True)
    thread.start()
    return thread
