"""The daemon: one per data folder. Restarts the pipeline, handles signals, notifies the service manager."""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import structlog

from maclip_daemon.daemon import crash_report, database_notice, stop_reason, systemd_notify
from maclip_daemon.daemon.lock import locked
from maclip_daemon.daemon.log_format import configure_logging
from maclip_daemon.daemon.run_observer import RunObserver, observing
from maclip_daemon.daemon.signal_handlers import handling
from maclip_daemon.daemon.update_check import UpdateCheck
from maclip_daemon.daemon.watched_folders import folders_to_watch
from maclip_daemon.daemon.work_spells import WorkSpells
from maclip_daemon.errors import MaclipError, Transient, UsageError
from maclip_daemon.library.storage.database import Library
from maclip_daemon.pipeline.run import Pipeline
from maclip_daemon.pipeline.waits import DATABASE, Waits
from maclip_daemon.processes import priority
from maclip_daemon.settings import Settings

TICK_S = 2.0  # between checks of pauses, heartbeats and leases
MAX_RESTARTS = 5  # after unexpected errors within RESTART_WINDOW_S; then the daemon gives up
RESTART_WINDOW_S = 600.0
DATABASE_TIMEOUT_S = 120.0  # two time-outs of a locked database, which the service manager must allow for

log = structlog.get_logger("maclip")


class Daemon:
    """The daemon: run the pipeline until `stop`, restart it after errors, read the settings on `reload`."""

    def __init__(
        self,
        load: Callable[[], Settings],
        folders: Sequence[Path],
        *,
        observer: RunObserver | None = None,
        build: Callable[[Settings, Library, Sequence[Path]], Pipeline] = Pipeline,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the settings with `load`, also at every reload; `folders` override `folders.paths`.

        `observer`: what looks on.
        """
        self._load = load
        self._folders = folders
        self._build = build
        self._observer = observer or RunObserver()
        self._spells = WorkSpells(clock)
        self._clock = clock
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()  # safe to use from a signal handler
        self._must_stop = False
        self._must_reload = False
        self._noted: dict[str, Any] | None = None
        self._waits = Waits(clock=clock)
        self._was_ready = False
        self._rejected = ""  # why the last reload was refused
        self._updates = UpdateCheck(clock)

    def run(self) -> None:
        """Work in the foreground until SIGTERM or SIGINT; both are ignored then, for the process ends.

        Raises `AlreadyRunning`, `UsageError`, `ModelUnavailable`, `DatabaseUnfit` and the like.
        """
        # From the first moment: an early reload must not end the program.
        with handling(SIGHUP=self.reload):
            try:
                self._run()
            except MaclipError as error:
                systemd_notify.status(f"stopped: {error}")
                raise

    def _run(self) -> None:
        settings = self._load()
        configure_logging(settings.log)
        folders_to_watch(settings, self._folders)
        data_dir = settings.data_dir
        with (
            locked(data_dir),
            handling(SIGTERM=self.stop, SIGINT=self.stop, ignored_later=True),
            stop_reason.recorded(data_dir),
            crash_report.kept(data_dir),
            observing(self._observer, settings),
        ):
            self.supervise(settings)

    def stop(self) -> None:
        """Ask the daemon to end soon. Safe in a signal handler."""
        self._must_stop = True
        self._wake.put(None)

    def reload(self) -> None:
        """Ask the daemon to read its settings again soon. Safe in a signal handler."""
        self._must_reload = True
        self._wake.put(None)

    def supervise(self, settings: Settings) -> None:
        """Run the pipeline with the lock held until `stop`.

        Raises the pipeline's own `MaclipError`, or `EnvironmentUnfit` after too many unexpected errors.
        """
        library = self._open_library(settings)
        if library is not None:
            with contextlib.closing(library):
                watched = folders_to_watch(settings, self._folders)
                self._run_pipelines(self._build(settings, library, watched), library)

    def _open_library(self, settings: Settings) -> Library | None:
        """Open the library once it is unlocked and its disk has space; return None after `stop`."""
        while not self._must_stop:
            try:
                return Library.open(settings.database_path)
            except Transient as error:
                self._pause(error, settings)
        return None

    def _run_pipelines(self, pipeline: Pipeline, library: Library) -> None:
        """Run one pipeline after the other until `stop`, or until one raises an error that lasts."""
        restarts: list[float] = []
        while not self._must_stop:
            successor = None
            try:
                background = pipeline.settings.background
                priority.lower_priority(background.nice, background.disk)
                pipeline.start()
                self._announce(pipeline)
                successor = self._monitor(pipeline, library)
            except Transient as error:
                pipeline.state.stop(error)
            finally:
                pipeline.stop()
            if self._must_stop:
                break
            if successor is not None:
                pipeline = successor
                continue
            fatal = pipeline.state.fatal
            if isinstance(fatal, Transient):
                # The disk is full, or another program locks the database. Nothing is lost; wait.
                self._pause(fatal, pipeline.settings)
                pipeline = self._successor(pipeline, library)
                continue
            self._updates.require_same_program()
            now = self._clock()
            restarts = [*(moment for moment in restarts if now - moment < RESTART_WINDOW_S), now]
            if isinstance(fatal, MaclipError) or len(restarts) > MAX_RESTARTS:
                pipeline.raise_if_fatal()
            log.error("restarting after an unexpected error", restart=len(restarts))
            self._sleep(2.0 ** len(restarts))
            pipeline = self._successor(pipeline, library)
        log.info("stopped")

    def _successor(self, pipeline: Pipeline, library: Library) -> Pipeline:
        """Return a new pipeline once the database can be written, with new settings after `reload`."""
        while not self._must_stop:
            try:
                if self._must_reload and (successor := self._reloaded(pipeline, library)) is not None:
                    return successor
                settings = pipeline.settings
                library.require_free_space()
                return self._build(settings, library, folders_to_watch(settings, self._folders))
            except Transient as error:
                self._pause(error, pipeline.settings)
        return pipeline

    def _pause(self, error: Transient, settings: Settings) -> None:
        """Report once why nothing can be stored now, and wait for `jobs.pause_s`."""
        if self._waits.begin(DATABASE, str(error), for_s=settings.jobs.pause_s):
            # After RELOADING the manager waits for READY, whatever happened.
            (systemd_notify.ready if self._was_ready else systemd_notify.status)(f"paused: {error}")
            database_notice.put(settings.data_dir, str(error))
        self._observer.pause(error)
        systemd_notify.extend(settings.jobs.pause_s + DATABASE_TIMEOUT_S)
        self._sleep(settings.jobs.pause_s)

    def _resume(self, settings: Settings) -> None:
        if self._waits.end(DATABASE):
            database_notice.put(settings.data_dir, "")

    def _sleep(self, seconds: float) -> None:
        """Wait until `stop`, with keep-alive messages to the service manager."""
        deadline = self._clock() + seconds
        while not self._must_stop and (left_s := deadline - self._clock()) > 0:
            systemd_notify.watchdog()
            self._wait(min(TICK_S, left_s))

    def _wait(self, seconds: float) -> None:
        """Wait until `stop` or `reload`, or until the time is over."""
        with contextlib.suppress(queue.Empty):
            self._wake.get(timeout=seconds)

    def _announce(self, pipeline: Pipeline) -> None:
        """Report the daemon as ready, once the first scan has begun."""
        while not pipeline.discovery.first_scan_began.wait(0.1):
            if pipeline.state.stopping.is_set() or self._must_stop:
                return
        self._resume(pipeline.settings)
        log.info(
            "watching",
            folders=len(pipeline.discovery.roots),  # the log has named each of them
            model=pipeline.identity.model,
        )
        systemd_notify.ready("watching")
        self._was_ready = True

    def _monitor(self, pipeline: Pipeline, library: Library) -> Pipeline | None:
        """Monitor a running pipeline until it has to end; return its successor after a reload."""
        interval_s = min(TICK_S, systemd_notify.watchdog_interval_s() or TICK_S)
        interval_s = min(interval_s, self._observer.interval_s)
        while not self._must_stop and not pipeline.state.stopping.is_set():
            self._wait(interval_s)
            if self._must_reload and (successor := self._reloaded(pipeline, library)) is not None:
                return successor
            self._updates.check()
            pipeline.run_maintenance()
            stalled = pipeline.state.heartbeat.stalled()
            if stalled:
                log.error("no heartbeat", parts=stalled)
            else:
                systemd_notify.watchdog()
            self._note(pipeline)
            self._report(pipeline)
        if self._must_stop:
            log.info("stopping: finishing the current work")
            systemd_notify.stopping("finishing the current work")
        return None

    def _reloaded(self, pipeline: Pipeline, library: Library) -> Pipeline | None:
        """Read the settings again and return their pipeline; None: they are wrong, the old ones stay."""
        self._must_reload = False
        systemd_notify.reloading()
        try:
            settings = self._load()
            if settings.data_dir != pipeline.settings.data_dir:
                raise UsageError("data_dir cannot change while the daemon runs. Restart the daemon for that.")
            successor = self._build(settings, library, folders_to_watch(settings, self._folders))
        except Transient as error:
            log.warning("the configuration is reloaded later", reason=str(error))
            systemd_notify.ready(f"paused: {error}")
            self._must_reload = True
            return None
        except MaclipError as error:
            log.error("configuration rejected", reason=str(error))
            self._rejected = f"configuration rejected, the old one stays: {error}"
            systemd_notify.ready(self._rejected)
            return None
        self._rejected = ""
        configure_logging(settings.log)
        log.info("configuration reloaded")
        return successor

    def _report(self, pipeline: Pipeline) -> None:
        """Tell of the work that is done, in the log and to those who look on."""
        self._observer.update(pipeline)
        spell = self._spells.update(pipeline)
        if spell is not None:
            self._observer.rest(spell)

    def _note(self, pipeline: Pipeline) -> None:
        """Store what `maclip status` prints, if it changed."""
        description = pipeline.description()
        if description != self._noted:
            self._noted = description if pipeline.remember(description) else None
            pauses = [f"paused: {reason}" for reason in pipeline.state.waits.reasons().values()]
            systemd_notify.status("; ".join(filter(None, [self._rejected, *pauses])) or "watching")
