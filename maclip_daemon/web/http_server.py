"""The HTTP server of a page: no log of its own, no sockets of its own, a quick end."""

from __future__ import annotations

import uvicorn
from starlette.types import ASGIApp


def http_server(app: ASGIApp) -> uvicorn.Server:
    """Return a server that is not started yet; `run(sockets=…)` blocks until it is to end."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)
