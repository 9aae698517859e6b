"""`maclip status`: the progress, the health of the folders, and the failures."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.printing import library_state, output, passed_over_list, rating_hints
from maclip_daemon.files.paths import printable, with_path

if TYPE_CHECKING:
    from maclip_daemon.daemon.stop_reason import StopReason
    from maclip_daemon.settings import Settings

LINES_SHOWN = 10  # in `maclip status`; --failed lists them all


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    failed: Annotated[
        bool, typer.Option("--failed", help="List every failed, unrated and empty photo.")
    ] = False,
) -> None:
    """Show progress, folder health and failures."""
    from maclip_daemon.errors import MaclipError
    from maclip_daemon.library.queries import photo_failures
    from maclip_daemon.library.queries.status import status as status_of_library
    from maclip_daemon.web.status import page_link

    call = invocation.from_context(context)
    settings = call.settings()
    running, stopped = _daemon_state(settings)
    try:
        opened = call.open_readonly(settings)
    except MaclipError:
        if stopped is not None:
            output.say(_daemon_line(running, stopped), error=True)
        raise
    with opened as library, library.snapshot() as snapshot:
        found = status_of_library(snapshot)
        failures = list(photo_failures.failures(snapshot, None if failed or as_json else LINES_SHOWN))
        problems = photo_failures.rating_problems(snapshot)
        first_stars = rating_hints.survey(snapshot)
    if as_json:
        about_ratings = {
            "first_stars": [dataclasses.asdict(each) for each in first_stars],
            "deleted_sidecars": found.notes.get("deleted_sidecars"),
            "stopped": dataclasses.asdict(stopped) if stopped else None,
        }
        output.print_json(library_state.as_json(found, failures, problems, running, settings) | about_ratings)
        return
    limit = None if failed else LINES_SHOWN
    output.say(_daemon_line(running, stopped))
    if running and (link := page_link.read(settings.data_dir)):
        output.say(f"page       {link}")
    library_state.print_lines(found, failures, running, settings, limit)
    # The hint below names the number of first stars; ten equal lines tell nothing more.
    listed = problems if failed else rating_hints.without_first_stars(problems, first_stars)
    for line in passed_over_list.shortened([with_path(*problem) for problem in listed], limit):
        output.say(f"unrated    {printable(line)}")
    for word, line in passed_over_list.lines(passed_over_list.of_notes(found.notes), limit):
        output.say(f"{word:<10} {printable(line)}")
    for word, hint in rating_hints.lines(first_stars, found.notes):
        output.say(f"{word:<10} {printable(hint)}")


def _daemon_state(settings: Settings) -> tuple[bool, StopReason | None]:
    """Return whether a daemon runs; where none does, why the last one ended without being asked to."""
    from maclip_daemon.daemon import stop_reason
    from maclip_daemon.daemon.lock import is_running

    running = is_running(settings.data_dir)
    return running, None if running else stop_reason.read(settings.data_dir)


def _daemon_line(running: bool, stopped: StopReason | None) -> str:
    why = f": {printable(stopped.sentence())}" if stopped else ""
    return f"daemon     {'running' if running else 'not running'}{why}"
