"""One run of the pipeline: its threads, its children, its beginning and its end."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from maclip_daemon import errors
from maclip_daemon.library.queries.status import put_note
from maclip_daemon.library.queue import jobs, leases
from maclip_daemon.library.results import scores
from maclip_daemon.library.storage.database import Library
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.photos.decoder import Decoder
from maclip_daemon.pipeline import root_opening, worker_count
from maclip_daemon.pipeline.discovery.discovery_stage import DiscoveryStage
from maclip_daemon.pipeline.discovery.watched_root import WatchedRoot
from maclip_daemon.pipeline.power_watch import PowerWatch
from maclip_daemon.pipeline.rating.calibration_stage import CalibrationStage
from maclip_daemon.pipeline.rating.external_edits import SidecarMonitor
from maclip_daemon.pipeline.rating.rate_jobs import RateJobs
from maclip_daemon.pipeline.rating.rating_stage import RatingStage
from maclip_daemon.pipeline.rating.recovery import recover
from maclip_daemon.pipeline.run_state import RunState, in_thread, log
from maclip_daemon.pipeline.scoring.score_jobs import ScoreJobs
from maclip_daemon.pipeline.scoring.scoring_stage import ScoringStage
from maclip_daemon.scoring.scorer_client import ScorerClient
from maclip_daemon.settings import Settings

STOP_S = 8.0  # the threads' part of the ten seconds in which a stop is promised
BRIEF_S = 0.5  # to wait for a locked database where signals must be answered and a later try will do
KINDS: tuple[leases.Kind, ...] = ("score", "rate")
_AT_ONCE = getattr(signal, "SIGKILL", signal.SIGTERM)  # a stopped child does not hear SIGTERM
LOOK_S = 0.2  # how often `--once` looks whether all is done


class Pipeline:
    """Everything between a folder and a rating, as one run that starts and stops."""

    def __init__(
        self,
        settings: Settings,
        library: Library,
        folders: Sequence[Path],
        *,
        once: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises `ModelUnavailable`, `UsageError` and the like before any work begins."""
        self.state = RunState(clock, settings.jobs.pause_s, settings.folders.filesystem_timeout_s)
        self.settings = settings
        self._library = library
        self._once = once
        self._worker = f"{socket.gethostname()}:{os.getpid()}:{clock():.3f}"
        self._spool = settings.data_dir / "spool"
        self.client = ScorerClient(settings.scoring, settings.data_dir)
        self.identity = self.client.identity()
        self._roots = root_opening.open_all(folders, settings, library, self.state.probe)
        self._threads: list[threading.Thread] = []
        self._tended = -math.inf
        self._clock_ahead = clock() - time.monotonic()  # from here on: the first look must notice a jump, too
        # Whoever types `--once` wants it now.
        pauses_on_battery = settings.background.pause_on_battery and not once
        self._power = PowerWatch(self.state.pauses) if pauses_on_battery else None

    def start(self) -> None:
        """Mend what a killed run left, then begin to work."""
        if self._power is not None:
            self._power.look()
        now = self.state.clock()
        recover(self._library, self.state.probe, self._spool, now)
        with self._library.writing() as session:
            config = scores.scoring_config_for(
                session, self.identity.metric, self.identity.model, self.identity.protocol
            )
            scores.activate(session, config.id)
            queued = scores.enqueue_unscored(session, now)
        if queued:
            log.info("scoring with another model", photos=queued, model=self.identity.model)
        settings, state = self.settings, self.state
        places = [WatchedRoot(self._library, state, settings.folders, root) for root in self._roots]
        sidecar_monitor = SidecarMonitor(self._library, state)
        self.intake = DiscoveryStage(self._library, state, places, sidecar_monitor, once=self._once)
        count = worker_count.decoders(settings.decoding, worker_count.cores())
        decoders = [Decoder(settings.decoding, self.identity.protocol, self._spool) for _ in range(count)]
        score_jobs = ScoreJobs(
            self._library, state, settings, config.id, self._worker, 2 * count, self.intake.is_offline
        )
        self.judging = ScoringStage(score_jobs, state, settings, self.client, decoders)
        self.writer = MetadataWriter()
        rate_jobs = RateJobs(self._library, state, settings.jobs, self._worker, self.intake.is_offline)
        self.rating = RatingStage(rate_jobs, state, settings.rating, self.writer)
        self.calibrating = CalibrationStage(
            self._library, state, settings.rating, config.id, self.identity.edges
        )
        self.places = places
        self._threads = [
            in_thread(state, "folders", self.intake.run),
            in_thread(state, "scorer", self.judging.score_loop),
            in_thread(state, "rating", functools.partial(self.rating.run, self.calibrating, sidecar_monitor)),
        ]
        for index in range(len(self.judging.decoders)):
            self._threads.append(
                in_thread(state, f"decoder {index + 1}", functools.partial(self.judging.decode_loop, index))
            )

    def run_to_the_end(self, progress: Callable[[Pipeline], None]) -> None:
        """Wait until everything that was found is scored and rated; `progress` is called while waiting.

        Raises the error that makes it impossible to go on.
        """
        while not self.state.stopping.is_set():
            progress(self)
            self.run_maintenance()
            if self.state.pauses.reasons(disks=False) or self.is_done():
                break
            time.sleep(LOOK_S)
        progress(self)
        self.raise_if_fatal()
        for reason in self.state.pauses.reasons().values():
            raise errors.EnvironmentUnfit(reason)

    def is_done(self) -> bool:
        """Whether no work is left, now or after a retry pause; that of full disks waits for the next run."""
        scored = self.state.tally.scored
        settled = self.rating.has_checked_files and self.calibrating.is_settled
        if not self.intake.is_idle or not settled:
            return False
        waiting = self.waiting()
        rating = waiting["rate"] and self.settings.rating.mode != "off"
        # What was scored since the calibration was asked for may need another one.
        nothing_new = self.intake.is_idle and self.state.tally.scored == scored
        return not waiting["score"] and not rating and nothing_new

    def waiting(self) -> dict[str, int]:
        """How many jobs of each kind are left, the ones in hand included, those of full disks not."""
        full: dict[str, list[int]] = {"score": [], "rate": self.state.pauses.disks()}
        with self._library.reading() as session:
            counts = {kind: jobs.counts(session, kind, paused_devices=full[kind]) for kind in KINDS}
        return {kind: count.ready + count.leased for kind, count in counts.items()}

    def run_maintenance(self) -> None:
        """The housekeeping of every few seconds: leases are renewed, lost ones come back.

        At once when the clock was set, or the machine slept: moments that lie ahead or behind since then
        must not hold up work.
        """
        if self._power is not None:
            self._power.look()
        now, clock = time.monotonic(), self.state.clock()
        step_s, self._clock_ahead = clock - now - self._clock_ahead, clock - now
        was_set = abs(step_s) > leases.CLOCK_SLACK_S
        if not was_set and now - self._tended < self.settings.jobs.lease_s / 3:
            return
        self._tended = now
        with contextlib.suppress(errors.Transient), self._library.writing(BRIEF_S) as session:
            leases.renew(session, self._worker, clock, self.settings.jobs.lease_s)
            leases.reclaim_expired(session, clock, self.settings.jobs.lease_s)
        if was_set:
            log.info("the clock was set, or the machine slept", by_s=round(step_s))
            self.state.wake()

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
        """Finish or give back what is in hand, within ten seconds, and end the children."""
        self.state.stop()
        deadline = time.monotonic() + STOP_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            # A long batch is cut off: its photos are leased, nothing of it is stored, they come back.
            for pid in self.children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, _AT_ONCE)
            for thread in self._threads:
                thread.join(1.0)
        if self._threads:
            # Where the library cannot be written now, the next start takes the work back.
            with contextlib.suppress(errors.MaclipError), self._library.writing(BRIEF_S) as session:
                leases.release_all(session, self._worker, self.state.clock())
        self._threads = []

    def children(self) -> list[int]:
        """The process ids of the children that run at the moment."""
        pids = [decoder.pid for decoder in self.judging.decoders]
        return [pid for pid in [*pids, self.client.pid, self.writer.pid] if pid is not None]

    def description(self) -> dict[str, Any]:
        """What the daemon leaves for `maclip status` to say."""
        return {
            "pid": os.getpid(),
            "metric": self.identity.metric,
            "model": self.identity.model,
            "protocol": self.identity.protocol,
            "mode": self.settings.rating.mode,
            "folders": [place.description() for place in self.places],
            "pauses": self.state.pauses.reasons(),
            "stalled": self.state.heartbeat.stalled(),
        }

    def remember(self, description: dict[str, Any]) -> bool:
        """Leave a note for `maclip status`; False: it cannot be written at the moment."""
        with contextlib.suppress(errors.Transient), self._library.writing(BRIEF_S) as session:
            put_note(session, "daemon", description, self.state.clock())
            return True
        return False
