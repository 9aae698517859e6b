"""The HTTP server of a page: no log of its own, no sockets of its own, a quick end."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

_log = logging.getLogger("uvicorn.error")


class HttpServer(uvicorn.Server):
    """A server that lets its application know of its end, so that no request keeps it waiting."""

    def __init__(
        self, config: uvicorn.Config, on_end: Callable[[], None] | None, is_to_end: Callable[[], bool]
    ) -> None:
        super().__init__(config)
        _log.disabled = False
        self._on_end = on_end
        self._is_to_end = is_to_end

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program: uvicorn's handlers would miss those that come just before."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Return whether the end has come; called ten times a second."""
        return await super().on_tick(counter) or self._is_to_end()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End in order; requests that wait for something are answered first."""
        if self._on_end is not None:
            self._on_end()
        _log.disabled = True  # a browser that reads no more is cut off, which nobody needs to be told
        await super().shutdown(sockets)


def http_server(
    app: ASGIApp,
    on_end: Callable[[], None] | None = None,
    is_to_end: Callable[[], bool] = lambda: False,
) -> HttpServer:
    """Return a server that is not started yet; `run(sockets=…)` blocks until it is to end.

    `on_end`: called in the event loop when the end begins. `is_to_end`: asked ten times a second;
    `should_exit` ends it, too.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    return HttpServer(config, on_end, is_to_end)
