"""Tell a person, and a health checker, what the daemon did and what holds it up.

Nothing here may delay or stop the work: messages leave in threads of their own, and what cannot be delivered
is a warning in the log, without the address, which holds secrets.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from maclip_daemon.daemon.notify import apprise_services, health_checker
from maclip_daemon.daemon.notify.apprise_services import AppriseServices, Notice
from maclip_daemon.daemon.notify.health_checker import Ping
from maclip_daemon.daemon.notify.import_tracker import ImportTracker
from maclip_daemon.daemon.notify.outbox import Outbox
from maclip_daemon.daemon.notify.trouble_watch import Event, TroubleWatch
from maclip_daemon.daemon.run_observer import RunObserver
from maclip_daemon.errors import MaclipError, ProgramReplaced, Transient
from maclip_daemon.library.queries.finished_imports import ImportSummary
from maclip_daemon.library.storage.database_errors import DatabaseFull
from maclip_daemon.pipeline.run import Pipeline
from maclip_daemon.settings import NotifySettings, Settings

LAST_WORDS_S = 5.0  # for messages that wait when the daemon ends because of an error
log = structlog.get_logger("maclip")


class Notifier(RunObserver):
    """The notifications and pings of one daemon."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._settings = NotifySettings()
        self._services = AppriseServices(())
        self._notices = Outbox[Notice]("notifications", self._send_notice)
        self._pings = Outbox[Ping]("health checker", self._send_ping)
        self._imports = ImportTracker(clock)
        self._troubles = TroubleWatch(clock)
        self._last_ping: Ping | None = None
        self._pinged_at = 0.0
        self._paused_for = ""

    def begin(self, settings: Settings) -> None:
        """Take the settings; tell the health checker that work begins."""
        self._configure(settings.notify)
        self._ping("start")

    def update(self, pipeline: Pipeline) -> None:
        """Look for an import that is finished, and for trouble."""
        self._configure(pipeline.settings.notify)
        if not self._is_wanted:
            return
        self._paused_for = ""
        for trouble in self._troubles.update(pipeline.state.waits.list()):
            self._tell(trouble.event, _TITLES[trouble.event], trouble.reason)
        was_under_way = self._imports.is_under_way
        found = self._imports.update(pipeline, self._settings.quiet_s)
        if found is not None:
            self._finished(found)
        elif self._imports.is_under_way and not was_under_way:
            self._ping("start")
        elif not self._imports.is_under_way and not self._troubles.stops_work:
            self._stay_alive(pipeline)

    def pause(self, error: Transient) -> None:
        """Tell that nothing can be stored; once for each reason."""
        if self._paused_for != str(error):
            self._paused_for = str(error)
            event: Event = "disk" if isinstance(error, DatabaseFull) else "failure"
            self._tell(event, _TITLES[event], str(error))

    def finish(self, pipeline: Pipeline) -> None:
        """Tell what a single pass did."""
        if not self._is_wanted:
            return
        found = self._imports.finish(pipeline)
        if found is not None:
            self._finished(found)
        else:
            self._ping("success", "nothing to do")

    def end(self, error: MaclipError | None) -> None:
        """Tell what ended the daemon, unless it was asked to, and wait a little for the last messages."""
        if error is not None and not isinstance(error, ProgramReplaced):
            self._tell("failure", "maclip has stopped", str(error))
        self._notices.close(LAST_WORDS_S)
        self._pings.close(LAST_WORDS_S)

    def _configure(self, settings: NotifySettings) -> None:
        if settings == self._settings:
            return
        self._settings = settings
        if settings.urls and not apprise_services.is_installed():
            log.warning("no notifications are sent", reason=f"{apprise_services.INSTALL}.")
            self._services = AppriseServices(())
        else:
            self._services = AppriseServices(settings.urls)

    def _finished(self, found: ImportSummary) -> None:
        if found.photos >= self._settings.minimum_photos and "finished" in self._settings.events:
            body = f"{found.sentence()}. `maclip worst` lists the shots to cull."
            self._notify(Notice("maclip: import finished", body))
        self._ping("success", found.sentence())

    def _tell(self, event: Event, title: str, reason: str) -> None:
        if event in self._settings.events:
            self._notify(Notice(title, reason, is_trouble=True))
        if event != "folder":
            self._ping("fail", reason)

    @property
    def _is_wanted(self) -> bool:
        return bool(self._settings.urls or self._settings.health_url)

    def _stay_alive(self, pipeline: Pipeline) -> None:
        """Ping when the daemon has nothing to do any more, and now and then while that lasts."""
        if self._settings.health_url is None or not pipeline.discovery.is_idle:
            return
        is_alive = self._last_ping is not None and self._last_ping.kind == "success"
        if is_alive and self._clock() - self._pinged_at < self._settings.health_interval_s:
            return
        if is_alive or not any(pipeline.waiting().values()):
            self._ping("success", "waiting for photos")

    def _notify(self, notice: Notice) -> None:
        if self._settings.urls:
            self._notices.put(notice)

    def _ping(self, kind: health_checker.PingKind, text: str = "") -> None:
        self._last_ping, self._pinged_at = Ping(kind, text), self._clock()
        if self._settings.health_url is not None:
            self._pings.put(self._last_ping)

    def _send_notice(self, notice: Notice) -> None:
        for name in self._services.send(notice):
            log.warning("a notification could not be sent", service=name, hint="`maclip notify` sends a test")

    def _send_ping(self, ping: Ping) -> None:
        url = self._settings.health_url
        reason = health_checker.send(url, ping) if url is not None else ""
        if reason:
            log.warning("the health checker got no ping (notify.health_url)", ping=ping.kind, reason=reason)


_TITLES: dict[Event, str] = {
    "folder": "maclip: a folder is paused",
    "disk": "maclip: a disk is full",
    "failure": "maclip cannot work",
}
