"""The format of the daemon's log lines on standard error."""

from __future__ import annotations

import sys
from typing import Any

import structlog

from maclip_daemon.settings import LogSettings

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure_logging(settings: LogSettings) -> None:
    """Print log lines to standard error: coloured on a terminal, plain for journald, or JSON."""
    terminal = sys.stderr.isatty()
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=terminal and settings.format == "auto",
            pad_event_to=0,
            repr_native_str=True,  # a file name must not forge a line or control the terminal
            exception_formatter=structlog.dev.plain_traceback,  # without the values of variables
        )
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso"),
            structlog.processors.format_exc_info if settings.format == "json" else _keep,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[settings.level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _keep(logger: Any, method: str, event: Any) -> Any:  # noqa: ARG001
    return event
