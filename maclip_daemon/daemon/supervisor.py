"""The daemon: one a data folder, obedient to signals, supervised, and honest to the service manager."""

from __future__ import annotations

import contextlib
import faulthandler
import queue
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import structlog

from maclip_daemon.daemon import database_notice, systemd_notify
from maclip_daemon.daemon.lock import locked
from maclip_daemon.daemon.log_format import configure_logging
from maclip_daemon.errors import MaclipError, Transient, UsageError
from maclip_daemon.library.storage.database import Library
from maclip_daemon.pipeline.run import Pipeline
from maclip_daemon.pipeline.run_state import Tally
from maclip_daemon.processes import priority
from maclip_daemon.settings import Settings

TICK_S = 2.0  # between looks at pauses, pulses and leases
MOST_RESTARTS = (
    5  # of the pipeline after unexpected errors, within RESTART_WINDOW_S; then the daemon gives up
)
RESTART_WINDOW_S = 600.0
LONGEST_LOCK_S = 120.0  # two waits for a locked database; the service manager is asked for this much more

log = structlog.get_logger("maclip")


class Daemon:
    """Runs the pipeline until it is told to stop, and again with other settings when told to reload."""

    def __init__(self, load: Callable[[], Settings], folders: Sequence[Path]) -> None:
        """`load` reads the settings, now and at every reload; `folders` win over those of the settings."""
        self._load = load
        self._folders = folders
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()  # safe to use from a signal handler
        self._stop = False
        self._reload = False
        self._remembered: dict[str, Any] | None = None
        self._paused_because = ""
        self._announced = False

    def run(self) -> None:
        """Work in the foreground until SIGTERM or SIGINT.

        Raises `AlreadyRunning`, `UsageError`, `ModelUnavailable`, `DatabaseUnfit` and the like.
        """
        faulthandler.enable()  # when the service manager's watchdog ends it, the journal shows where it hung
        # From the first moment: a reload that was asked for too early must not end the program.
        with _handling(SIGHUP=self._on_reload):
            settings = self._load()
            configure_logging(settings.log)
            watched = folders_to_watch(settings, self._folders)
            with locked(settings.data_dir), _handling(SIGTERM=self._on_stop, SIGINT=self._on_stop):
                library = self._opened(settings)
                if library is None:
                    return
                with contextlib.closing(library):
                    self._supervise(Pipeline(settings, library, watched), library)

    def _opened(self, settings: Settings) -> Library | None:
        """Open the library, as soon as other programs and the disk let us; None: told to stop meanwhile."""
        while not self._stop:
            try:
                return Library.open(settings.database_path)
            except Transient as error:
                self._pause(error, settings)
        return None

    def _supervise(self, pipeline: Pipeline, library: Library) -> None:
        restarts: list[float] = []
        while not self._stop:
            successor = None
            try:
                background = pipeline.settings.background
                priority.step_back(background.nice, background.disk)
                pipeline.start()
                self._announce(pipeline)
                successor = self._tend(pipeline, library)
            except Transient as error:
                pipeline.state.stop(error)
            finally:
                pipeline.stop()
            if self._stop:
                break
            if successor is not None:
                pipeline = successor
                continue
            fatal = pipeline.state.fatal
            if isinstance(fatal, Transient):
                # A full disk, or a database that another program holds: nothing is lost, it only takes time.
                self._pause(fatal, pipeline.settings)
                pipeline = self._again(pipeline, library)
                continue
            restarts = [moment for moment in restarts if time.monotonic() - moment < RESTART_WINDOW_S]
            restarts.append(time.monotonic())
            if isinstance(fatal, MaclipError) or len(restarts) > MOST_RESTARTS:
                pipeline.raise_if_fatal()
            log.error("starting again after an unexpected error", restart=len(restarts))
            self._sleep(2.0 ** len(restarts))
            pipeline = self._again(pipeline, library)
        log.info("stopped")

    def _again(self, pipeline: Pipeline, library: Library) -> Pipeline:
        """A new pipeline as soon as the database lets us, with new settings if they were asked for."""
        while not self._stop:
            try:
                if self._reload and (successor := self._reloaded(pipeline, library)) is not None:
                    return successor
                settings = pipeline.settings
                library.require_room()
                return Pipeline(settings, library, folders_to_watch(settings, self._folders))
            except Transient as error:
                self._pause(error, pipeline.settings)
        return pipeline

    def _pause(self, error: Transient, settings: Settings) -> None:
        """Say once why nothing can be remembered at the moment, and wait a while."""
        if str(error) != self._paused_because:
            self._paused_because = str(error)
            log.warning("paused", reason=str(error), retry_in_s=settings.jobs.pause_s)
            # After a reload the manager waits for READY, whatever it finds.
            (systemd_notify.ready if self._announced else systemd_notify.status)(f"paused: {error}")
            database_notice.put(settings.data_dir, str(error))
        systemd_notify.extend(settings.jobs.pause_s + LONGEST_LOCK_S)
        self._sleep(settings.jobs.pause_s)

    def _resume(self, settings: Settings) -> None:
        if self._paused_because:
            self._paused_because = ""
            log.info("resumed")
            database_notice.put(settings.data_dir, "")

    def _sleep(self, seconds: float) -> None:
        """Wait, while the service manager sees that we live; SIGTERM and SIGINT end it."""
        deadline = time.monotonic() + seconds
        while not self._stop and time.monotonic() < deadline:
            systemd_notify.watchdog()
            self._wait(min(TICK_S, max(0.0, deadline - time.monotonic())))

    def _wait(self, seconds: float) -> None:
        with contextlib.suppress(queue.Empty):
            self._wake.get(timeout=seconds)

    def _announce(self, pipeline: Pipeline) -> None:
        """Say that the daemon is ready, once the first scan has begun."""
        while not pipeline.intake.first_scan_began.wait(0.1):
            if pipeline.state.stopping.is_set() or self._stop:
                return
        self._resume(pipeline.settings)
        log.info(
            "watching", folders=[place.root.path for place in pipeline.places], model=pipeline.identity.model
        )
        systemd_notify.ready("watching")
        self._announced = True

    def _tend(self, pipeline: Pipeline, library: Library) -> Pipeline | None:
        """Look after a running pipeline until it has to end; returns its successor after a reload."""
        interval_s = min(TICK_S, systemd_notify.watchdog_interval_s() or TICK_S)
        while not self._stop and not pipeline.state.stopping.is_set():
            self._wait(interval_s)
            if self._reload and (successor := self._reloaded(pipeline, library)) is not None:
                return successor
            pipeline.run_maintenance()
            stalled = pipeline.state.heartbeat.stalled()
            if stalled:
                log.error("no sign of life", parts=stalled)
            else:
                systemd_notify.watchdog()
            self._remember(pipeline)
        if self._stop:
            log.info("stopping: finishing what is in hand")
            systemd_notify.stopping("finishing what is in hand")
        return None

    def _reloaded(self, pipeline: Pipeline, library: Library) -> Pipeline | None:
        """Read the configuration again; None: it is wrong, and the old one stays in force."""
        self._reload = False
        systemd_notify.reloading()
        try:
            settings = self._load()
            if settings.data_dir != pipeline.settings.data_dir:
                raise UsageError("data_dir cannot change while the daemon runs. Restart it.")
            successor = Pipeline(settings, library, folders_to_watch(settings, self._folders))
        except MaclipError as error:
            log.error("configuration not taken over", reason=str(error))
            systemd_notify.ready(f"the new configuration is wrong and was not taken over: {error}")
            return None
        configure_logging(settings.log)
        log.info("configuration read again")
        return successor

    def _remember(self, pipeline: Pipeline) -> None:
        description = pipeline.description()
        if description != self._remembered:
            self._remembered = description if pipeline.remember(description) else None
            pauses = "; ".join(f"paused: {reason}" for reason in pipeline.state.pauses.reasons().values())
            systemd_notify.status(pauses or "watching")

    def _on_stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._stop = True
        self._wake.put(None)

    def _on_reload(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._reload = True
        self._wake.put(None)


@contextlib.contextmanager
def _handling(**handlers: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle these signals, as far as the platform has them."""
    numbers = {getattr(signal, name): handler for name, handler in handlers.items() if hasattr(signal, name)}
    before = {number: signal.signal(number, handler) for number, handler in numbers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_once(settings: Settings, folders: Sequence[Path], progress: Callable[[Pipeline], None]) -> Tally:
    """Scan the folders, score and rate all that is new, and return what was done.

    An interruption (SIGINT, SIGTERM) finishes or gives back what is in hand; the next run goes on there.
    Raises like `Daemon.run`.
    """
    configure_logging(settings.log)
    with locked(settings.data_dir), contextlib.closing(Library.open(settings.database_path)) as library:
        pipeline = Pipeline(settings, library, folders_to_watch(settings, folders), once=True)
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            pipeline.start()
            pipeline.run_to_the_end(progress)
            pipeline.state.tally.offline = [
                place.health.reason for place in pipeline.places if place.health and place.health.reason
            ]
        finally:
            pipeline.stop()
            signal.signal(signal.SIGTERM, before)
        return pipeline.state.tally


def folders_to_watch(settings: Settings, folders: Sequence[Path]) -> list[Path]:
    """Return the folders of the command line, else those of the settings. Raises `UsageError` without any."""
    chosen = list(folders) or list(settings.folders.paths)
    if not chosen:
        raise UsageError("No folder to watch: give one (`maclip run ~/Pictures`) or set folders.paths.")
    return chosen
