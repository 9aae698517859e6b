"""`maclip pause` and `maclip resume`."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.printing import output

if TYPE_CHECKING:
    from maclip_daemon.settings import Settings

_UNITS_S = (86_400, 3_600, 60, 1)  # of the groups below
_DURATION = re.compile(r"(?:(\d{1,3})d)?(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,6})s)?")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(pause)
    app.command()(resume)


def pause(
    context: typer.Context,
    duration: Annotated[
        str,
        typer.Argument(
            metavar="[DURATION]",
            help="How long, such as 30m, 2h or 1h30m. Default: until `maclip resume`.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Let the daemon score and rate nothing for a while; it finishes the photos it has begun.

    New photos are still noticed, and scored afterwards. The pause holds across restarts; the memory of a
    graphics card is free about a minute later. `maclip status` shows the pause.
    """
    from maclip_daemon.library.queue import pause_order
    from maclip_daemon.library.queue.pause_order import PauseOrder

    seconds = parse_duration(duration) if duration else None
    call = invocation.from_context(context)
    settings = call.settings()
    now = time.time()
    order = PauseOrder(now, None if seconds is None else now + seconds)
    with call.open_writable(settings) as library, library.writing() as session:
        pause_order.store(session, order)
    done = "Paused." if order.until is None else f"Paused until {_moment(order.until)}."
    output.say(f"{done} `maclip resume` ends the pause.{_of_next(settings)}")


def resume(context: typer.Context) -> None:
    """End the pause of `maclip pause`."""
    from maclip_daemon.library.queue import pause_order
    from maclip_daemon.pipeline import wanted_waits

    call = invocation.from_context(context)
    settings = call.settings()
    now = time.time()
    with call.open_writable(settings) as library:
        with library.snapshot() as snapshot:
            order = pause_order.read(snapshot)
        if order is not None:
            with library.writing() as session:
                pause_order.withdraw(session)
    was_paused = order is not None and not order.is_over(now)
    output.say(f"The pause has ended.{_of_next(settings)}" if was_paused else "Nothing was paused.")
    for wait in wanted_waits.of_hours(settings.background.quiet_hours, now):
        output.say(f"{wait.reason} Work goes on at {_moment(wait.until or now)}.")


def parse_duration(text: str) -> int:
    """Return the seconds of a text such as `1h30m`. Raises `UsageError`."""
    from maclip_daemon.errors import UsageError

    found = _DURATION.fullmatch(text.lower().replace(" ", ""))
    parts = zip(found.groups("0"), _UNITS_S, strict=True) if found else ()
    seconds = sum(int(number) * unit for number, unit in parts)
    if not seconds:
        raise UsageError(f"{text!r} is not a time. Give it as 30m, 2h or 1h30m, for example.")
    return seconds


def _of_next(settings: Settings) -> str:
    from maclip_daemon.daemon.lock import is_running

    return "" if is_running(settings.data_dir) else " No daemon runs now; this holds for the next one."


def _moment(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds)
    is_today = moment.date() == datetime.now().date()
    return f"{moment:%H:%M}" if is_today else f"{moment:%Y-%m-%d %H:%M}"
