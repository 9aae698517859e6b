"""One run of the pipeline: its threads and its children, from start to stop."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from maclip_daemon import errors
from maclip_daemon.library.queue import jobs, leases, rescoring
from maclip_daemon.library.results import scores
from maclip_daemon.library.storage.database import BRIEF_TIMEOUT_S, Library
from maclip_daemon.library.storage.notes import put_note
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.photos.decoder import Decoder
from maclip_daemon.pipeline import known_roots, worker_count
from maclip_daemon.pipeline.bursts.burst_stage import BurstStage
from maclip_daemon.pipeline.discovery.discovery_stage import DiscoveryStage
from maclip_daemon.pipeline.discovery.watched_root import WatchedRoot
from maclip_daemon.pipeline.lease_upkeep import LeaseUpkeep
from maclip_daemon.pipeline.pause_check import PauseCheck
from maclip_daemon.pipeline.rating.calibration_stage import CalibrationStage
from maclip_daemon.pipeline.rating.external_edits import SidecarMonitor
from maclip_daemon.pipeline.rating.rate_jobs import RateJobs
from maclip_daemon.pipeline.rating.rating_stage import RatingStage
from maclip_daemon.pipeline.recovery import recover
from maclip_daemon.pipeline.run_state import RunState, StageContext, in_thread, log
from maclip_daemon.pipeline.scoring.score_jobs import ScoreJobs, ScoreSource
from maclip_daemon.pipeline.scoring.scoring_stage import ScoringStage
from maclip_daemon.pipeline.waits import POWER_CHECK_S, PowerCheck
from maclip_daemon.scoring.scorer_client import ScorerClient
from maclip_daemon.settings import Settings

STOP_S = 8.0  # the threads' part of the ten seconds in which a stop is promised
BEHIND_S = 60.0  # a clock that was further behind may have passed over changes of files as of the future
KINDS: tuple[leases.Kind, ...] = ("score", "rate")
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # a stopped child ignores SIGTERM
POLL_S = 0.2  # between checks of `--once` whether all is done


class Pipeline:
    """One run: everything between a folder and a rating."""

    def __init__(
        self,
        settings: Settings,
        library: Library,
        folders: Sequence[Path],
        *,
        once: bool = False,
        elsewhere: ScoreSource | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare a run. Raise `ModelUnavailable`, `UsageError`, `Transient` and the like before any work.

        `elsewhere`: where scores may be found in place of computing them.
        """
        self.state = RunState(clock, settings.jobs.pause_s, settings.folders.filesystem_timeout_s)
        self.settings = settings
        self._library = library
        self._worker = f"{socket.gethostname()}:{os.getpid()}:{clock():.3f}"
        self._spool = settings.data_dir / "spool"
        self.client = ScorerClient(settings.scoring, settings.data_dir)
        self.identity = self.client.identity()
        self._threads: list[threading.Thread] = []
        self._leases = LeaseUpkeep(library, self.state, self._worker, settings.jobs.lease_s)
        # A person who runs `--once` wants it now.
        pauses_on_battery = settings.background.pause_on_battery and not once
        power_check_s = min(POWER_CHECK_S, settings.jobs.pause_s)
        self._power = PowerCheck(self.state.waits, every_s=power_check_s) if pauses_on_battery else None
        self._pauses = PauseCheck(library, self.state, () if once else settings.background.quiet_hours)
        roots = known_roots.open_all(folders, settings, library, self.state.probe)
        identity = self.identity
        with library.writing() as session:
            config = scores.scoring_config_for(session, identity.metric, identity.model, identity.protocol)
        self._context = StageContext(library, self.state, settings, config.id, self._worker)
        self._sidecar_monitor = SidecarMonitor(library, self.state)
        watched_roots = [WatchedRoot(library, self.state, settings.folders, root) for root in roots]
        self.discovery = DiscoveryStage(library, self.state, watched_roots, self._sidecar_monitor, once=once)
        count = worker_count.decoders(settings.decoding, worker_count.cores())
        paths = [Path(root.path) for root in roots]
        decoders = [
            Decoder(settings.decoding, identity.protocol, self._spool, roots=paths) for _ in range(count)
        ]
        score_jobs = ScoreJobs(self._context, self.discovery, 2 * count, elsewhere)
        self.scoring = ScoringStage(score_jobs, self.state, settings, self.client, decoders)
        self.writer = MetadataWriter(paths)
        rate_jobs = RateJobs(library, self.state, settings.jobs, self._worker, self.discovery)
        self.rating = RatingStage(rate_jobs, self.state, settings.rating, self.writer)
        self.bursts = BurstStage(library, self.state, settings.rating)
        self.calibration = CalibrationStage(library, self.state, settings.rating, config.id, identity.edges)

    def start(self) -> None:
        """Recover from a killed run, then start the threads."""
        if self._power is not None:
            self._power.check()
        self._pauses.check()
        now, state = self.state.clock(), self.state
        recover(self._library, state.probe, self._spool, now)
        with self._library.writing() as session:
            scores.activate(session, self._context.scoring_config_id)
            queued = scores.enqueue_unscored(session, now)
            rescoring.begin_if_any(session, self._context.scoring_config_id, now)
        self.bursts.begin()
        if queued:
            log.info("scoring with another model", photos=queued, model=self.identity.model)
        rate = functools.partial(self.rating.run, self.calibration, self._sidecar_monitor)
        self._threads = [
            in_thread(state, "folders", self.discovery.run),
            in_thread(state, "scorer", self.scoring.score_loop),
            in_thread(state, "rating", rate),
        ]
        for index in range(len(self.scoring.decoders)):
            decode = functools.partial(self.scoring.decode_loop, index)
            self._threads.append(in_thread(state, f"decoder {index + 1}", decode))

    def run_to_the_end(self, progress: Callable[[Pipeline], None]) -> None:
        """Wait until all photos are scored and rated, and call `progress` meanwhile.

        Raises the error that stopped the run.
        """
        while not self.state.stopping.is_set():
            progress(self)
            self.run_maintenance()
            if self.state.waits.reasons(disks=False) or self.is_done():
                break
            time.sleep(POLL_S)
        progress(self)
        self.raise_if_fatal()
        for reason in self.state.waits.reasons().values():
            raise errors.EnvironmentUnfit(reason)

    def is_done(self) -> bool:
        """Return whether no work is left, now or after a retry. That of full disks waits for the next run."""
        scored = self.state.tally.scored
        settled = self.rating.has_checked_files and self.calibration.is_settled
        if not self.discovery.is_idle or not settled or not self.bursts.is_settled():
            return False
        waiting = self.waiting()
        rating = waiting["rate"] and self.settings.rating.mode != "off"
        # Photos scored since that check may need another calibration.
        nothing_new = self.discovery.is_idle and self.state.tally.scored == scored
        return not waiting["score"] and not rating and nothing_new

    @property
    def library(self) -> Library:
        """The library that the run works with."""
        return self._library

    def waiting(self) -> dict[str, int]:
        """Return how many jobs of each kind are left: leased ones included, those for full disks not."""
        full: dict[str, list[int]] = {"score": [], "rate": self.state.waits.devices("full disk")}
        with self._library.reading() as session:
            counts = {kind: jobs.counts(session, kind, paused_devices=full[kind]) for kind in KINDS}
        return {kind: count.ready + count.leased for kind, count in counts.items()}

    def run_maintenance(self) -> None:
        """Check what work waits for, renew leases and reclaim lost ones, every few seconds."""
        if self._power is not None:
            self._power.check()
        self.bursts.run_maintenance()
        self._pauses.check()
        if self._leases.keep() > BEHIND_S:
            self._sidecar_monitor.request_full_check()  # times as of the future were passed over

    def raise_if_fatal(self) -> None:
        """Raise the error that stopped a thread, if one did."""
        fatal = self.state.fatal
        if isinstance(fatal, errors.MaclipError):
            raise fatal
        if fatal is not None:
            raise errors.EnvironmentUnfit(
                f"Stopped by an unexpected error: {type(fatal).__name__}: {fatal}. Nothing is lost; "
                "the log has more."
            ) from fatal

    def stop(self) -> None:
        """Finish or release the current work within ten seconds, and end the children."""
        self.state.stop()
        deadline = time.monotonic() + STOP_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            # A long batch is lost: its photos are leased, none is stored, and they are scored later.
            for pid in self.children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, _KILL)
            for thread in self._threads:
                thread.join(1.0)
        if self._threads:
            # Where the library cannot be written now, the next start reclaims the work.
            with contextlib.suppress(errors.MaclipError), self._library.writing(BRIEF_TIMEOUT_S) as session:
                leases.release_all(session, self._worker, self.state.clock())
        self._threads = []

    def children(self) -> list[int]:
        """Return the process ids of the running children."""
        pids = [decoder.pid for decoder in self.scoring.decoders]
        return [pid for pid in [*pids, self.client.pid, self.writer.pid] if pid is not None]

    def description(self) -> dict[str, Any]:
        """Return the daemon's note for `maclip status`."""
        return {
            "pid": os.getpid(),
            "metric": self.identity.metric,
            "model": self.identity.model,
            "protocol": self.identity.protocol,
            "mode": self.settings.rating.mode,
            "folders": [root.description() for root in self.discovery.roots],
            "pauses": self.state.waits.reasons(),
            "waits": [wait.as_json() for wait in self.state.waits.list()],
            "stalled": self.state.heartbeat.stalled(),
        }

    def remember(self, description: dict[str, Any]) -> bool:
        """Store a note for `maclip status`; return whether it could be written."""
        with contextlib.suppress(errors.Transient), self._library.writing(BRIEF_TIMEOUT_S) as session:
            put_note(session, "daemon", description, self.state.clock())
            return True
        return False
