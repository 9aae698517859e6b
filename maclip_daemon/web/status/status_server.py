"""Serve the status page, `/health` and `/metrics` while the daemon works: `maclip run --listen`."""

from __future__ import annotations

import math
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from maclip_daemon.daemon.run_observer import RunObserver
from maclip_daemon.errors import EnvironmentUnfit, MaclipError, Transient
from maclip_daemon.pipeline.run import Pipeline
from maclip_daemon.settings import ListenSettings, Settings
from maclip_daemon.web import addresses
from maclip_daemon.web.status import page_link
from maclip_daemon.web.status.watched_daemon import WatchedDaemon

if TYPE_CHECKING:
    import uvicorn

STOP_S = 2.0  # for answers that are under way
TRY_AGAIN_S = 30.0  # to have an address that another program has
log = structlog.get_logger("maclip")


class StatusServer(RunObserver):
    """The server of one daemon, in a thread of its own. It reads, and changes nothing."""

    def __init__(self) -> None:
        self._watched = WatchedDaemon()
        self._settings = ListenSettings()
        self._data_dir: Path | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._refused = ""
        """Why the address could not be had."""
        self._next_try = -math.inf

    def begin(self, settings: Settings) -> None:
        """Begin to serve where the settings say so. Raises `EnvironmentUnfit` for an address in use."""
        self._settings = settings.listen
        self._data_dir = settings.data_dir
        self._serve(settings)

    def update(self, pipeline: Pipeline) -> None:
        """Look at a run; after a reload serve at another address, if it changed."""
        self._watched.look(pipeline)
        if pipeline.settings.listen != self._settings:
            self._settings = pipeline.settings.listen
            self._stop()
            page_link.remove(pipeline.settings.data_dir)
            self._refused, self._next_try = "", -math.inf
        if self._server is None and self._settings.address and time.monotonic() >= self._next_try:
            self._try_to_serve(pipeline.settings)

    def _try_to_serve(self, settings: Settings) -> None:
        """Serve, or tell once why not and try again later: another program may give the address up."""
        try:
            self._serve(settings)
        except EnvironmentUnfit as error:
            if str(error) != self._refused:
                log.warning("there is no status page", reason=str(error))
            self._refused, self._next_try = str(error), time.monotonic() + TRY_AGAIN_S

    def pause(self, error: Transient) -> None:
        """Learn that nothing can be stored."""
        self._watched.block(str(error))

    def end(self, error: MaclipError | None) -> None:  # noqa: ARG002
        """End the server."""
        self._stop()
        if self._data_dir is not None:
            page_link.remove(self._data_dir)

    def _serve(self, settings: Settings) -> None:
        page_link.remove(settings.data_dir)
        if not settings.listen.address:
            return
        # A daemon that nobody watches does without these.
        from maclip_daemon.web import access
        from maclip_daemon.web.access import OPEN_PATH, AccessGuard, Keys
        from maclip_daemon.web.http_server import http_server
        from maclip_daemon.web.status import status_app

        listener = _listener(settings.listen)
        host, port = listener.getsockname()[:2]
        keys = Keys(access.secret(settings.data_dir), port)
        hosts = addresses.host_headers(host, port, settings.listen.names)
        app = AccessGuard(
            status_app.application(self._watched),
            keys,
            hosts,
            open_paths=status_app.OPEN_PATHS,
            no_access=status_app.NO_KEY,
        )
        self._server = http_server(app)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="status page", daemon=True
        )
        self._thread.start()
        base = addresses.base_address(host, port)
        page_link.put(settings.data_dir, f"{base}{OPEN_PATH}?token={keys.token}")
        log.info("listening", address=f"{base}/", hint="`maclip status` has the link to the page")

    def _stop(self) -> None:
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(STOP_S)
        self._server = self._thread = None


def _listener(settings: ListenSettings) -> socket.socket:
    """Return a socket that listens. Raises `EnvironmentUnfit`."""
    host, port = settings.host_and_port
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise EnvironmentUnfit(_unusable(settings, error)) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise EnvironmentUnfit(_unusable(settings, error)) from None
    return listener


def _unusable(settings: ListenSettings, error: OSError) -> str:
    return (
        f"maclip cannot listen at {settings.address}: {error.strerror}. Choose another port or address with "
        "--listen (the setting listen.address)."
    )
