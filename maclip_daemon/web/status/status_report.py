"""What the status page says, in words: the page's template and its script show the same."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from maclip_daemon import __version__
from maclip_daemon.errors import MaclipError
from maclip_daemon.files.paths import printable_utf8
from maclip_daemon.library.queries.finished_imports import grouped
from maclip_daemon.library.queries.status import Status, status
from maclip_daemon.pipeline.run import Pipeline
from maclip_daemon.pipeline.waits import Wait
from maclip_daemon.web.status.watched_daemon import WatchedDaemon

HEADLINES = {
    "ok": "At work",
    "paused": "Paused",
    "starting": "Starting",
    "blocked": "Nothing can be stored",
    "stalled": "A part of maclip does not respond",
}


@dataclass(frozen=True)
class StatusReport:
    """The page: a headline, figures by name, and lists of sentences."""

    headline: str
    is_good: bool
    figures: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return it for the page's script."""
        return asdict(self)


def status_report(daemon: WatchedDaemon) -> StatusReport:
    """Return what the page says now."""
    health, pipeline = daemon.health(), daemon.pipeline
    headline = HEADLINES[health.state]
    waits = [daemon.blocked] if daemon.blocked else []
    figures = {"Version": __version__, "Running since": _moment(daemon.began_at)}
    if pipeline is None:
        return StatusReport(headline, health.is_good, figures, [], waits)
    waits += [_wait(each) for each in pipeline.state.waits.list()]
    try:
        with pipeline.library.snapshot() as snapshot:
            found = status(snapshot)
    except MaclipError as error:
        return StatusReport(headline, health.is_good, figures, [], [*waits, printable_utf8(str(error))])
    waiting = sum(found.jobs["score"][state] for state in ("ready", "leased"))
    if health.state == "ok" and not waiting:
        headline = "Waiting for photos"
    folders = [printable_utf8(f"{root['path']} ({root['state']})") for root in found.roots]
    return StatusReport(headline, health.is_good, figures | _figures(found, pipeline), folders, waits)


def _figures(found: Status, pipeline: Pipeline) -> dict[str, str]:
    photos, jobs, tally = found.photos, found.jobs, pipeline.state.tally
    queued = {kind: states["ready"] + states["leased"] for kind, states in jobs.items()}
    identity = pipeline.identity
    return {
        "Photos scored": grouped(photos["scored"]),
        "Waiting to be scored": grouped(queued["score"]),
        "Waiting to be rated": grouped(queued["rate"]),
        "Failed": grouped(photos["failed"]),
        "Missing": grouped(photos["missing"]),
        "Rated by maclip": grouped(found.ratings["maclip"]),
        "With your own rating": grouped(found.ratings["person"]),
        "Scored since the start": grouped(tally.scored),
        "Model": f"{identity.model} · {identity.metric} · {identity.protocol}",
    }


def _wait(wait: Wait) -> str:
    until = "" if wait.until is None else f" (until {_moment(wait.until)})"
    return printable_utf8(f"{wait.what}: {wait.reason}{until}")


def _moment(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds)
    is_today = moment.date() == datetime.fromtimestamp(time.time()).date()
    return f"{moment:%H:%M}" if is_today else f"{moment:%Y-%m-%d %H:%M}"
