"""The addresses of a watched daemon. The page needs its key; `/health` and `/metrics` name nothing."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from maclip_daemon import __version__
from maclip_daemon.web.status import daemon_metrics
from maclip_daemon.web.status.status_report import status_report
from maclip_daemon.web.status.watched_daemon import WatchedDaemon

OPEN_PATHS = frozenset({"/health", "/metrics"})
NO_KEY = "Open the link that `maclip status` prints: it is the key to this page."
_WEB = Path(__file__).parents[1]


class StatusPages:
    """The handlers. They run in threads, because they read the library."""

    def __init__(self, daemon: WatchedDaemon, metrics: CollectorRegistry) -> None:
        self._daemon = daemon
        self._metrics = metrics
        self._templates = Jinja2Templates(_WEB / "templates")

    def page(self, request: Request) -> Response:
        """Return the page."""
        report = status_report(self._daemon)
        return self._templates.TemplateResponse(
            request, "status.html", {"report": report, "version": __version__}
        )

    def report(self, _request: Request) -> Response:
        """Return what the page says, for its script."""
        return JSONResponse(status_report(self._daemon).as_json())

    def health(self, _request: Request) -> Response:
        """Return whether the daemon works: 200, or 503 where something needs a person."""
        health = self._daemon.health()
        answer = {"status": health.state, "version": __version__, "waits": health.waits}
        return JSONResponse(answer, 200 if health.is_good else 503)

    def metrics(self, request: Request) -> Response:
        """Return the metrics in the format that Prometheus asks for."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._metrics), headers={"Content-Type": content_type})


def application(daemon: WatchedDaemon) -> Starlette:
    """Return the application for one daemon; `access.AccessGuard` goes around it."""
    pages = StatusPages(daemon, daemon_metrics.registry(daemon))
    return Starlette(
        routes=[
            Route("/", pages.page),
            Route("/api/status", pages.report),
            Route("/health", pages.health),
            Route("/metrics", pages.metrics),
            Mount("/static", StaticFiles(directory=_WEB / "static")),
        ]
    )
