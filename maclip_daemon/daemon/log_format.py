"""The format of the daemon's log lines on standard error."""

from __future__ import annotations

import sys
from typing import Any

import structlog

from maclip_daemon.daemon import journal
from maclip_daemon.settings import LogSettings

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure_logging(settings: LogSettings) -> None:
    """Print log lines to standard error: coloured on a terminal, plain, or JSON.

    The journal gets priorities instead of time stamps and levels of our own.
    """
    terminal = sys.stderr.isatty()
    as_json = settings.format == "json"
    in_journal = journal.is_connected(sys.stderr) and not as_json
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if as_json
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
            _keep if in_journal else structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso"),
            structlog.processors.format_exc_info if as_json else _keep,
            _for_journal(renderer) if in_journal else renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[settings.level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _for_journal(renderer: Any) -> Any:
    """Return a renderer that puts the event's priority before its line; a traceback is for debugging."""

    def render(logger: Any, method: str, event: Any) -> str:
        level = event.pop("level")
        line, _, traceback = str(renderer(logger, method, event)).partition("\n")
        shown = journal.with_priority(line, level)
        return f"{shown}\n{journal.with_priority(traceback, 'debug')}" if traceback else shown

    return render


def _keep(logger: Any, method: str, event: Any) -> Any:  # noqa: ARG001
    return event
