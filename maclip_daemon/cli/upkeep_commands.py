"""`maclip retry` and `maclip purge`: retry failed photos, and forget missing ones."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Annotated

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.printing import output

Under = Annotated[Path | None, typer.Option(help="Only photos in this folder and below.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(retry)
    app.command()(purge)


def retry(context: typer.Context, under: Under = None) -> None:
    """Queue failed photos again. A running daemon scores them at once, otherwise the next run does."""
    from maclip_daemon.daemon.lock import is_running
    from maclip_daemon.library.queue import jobs

    call = invocation.from_context(context)
    settings = call.settings()
    folder = None if under is None else invocation.resolve_folder(under)
    with contextlib.closing(call.open_writable(settings)) as library, library.writing() as session:
        count = jobs.retry_dead(session, time.time(), folder)
    output.say(f"{output.count(count, 'photo')} to try again." if count else "No photo has failed.")
    if count and not is_running(settings.data_dir):
        output.say("The next `maclip run` tries again.")


def purge(
    context: typer.Context,
    under: Under = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Forget the scores of photos that are missing. No file is touched, and undo still works."""
    from maclip_daemon.library.photos import missing_photos

    call = invocation.from_context(context)
    folder = None if under is None else invocation.resolve_path(under)
    with contextlib.closing(call.open_writable(call.settings())) as library:
        with library.reading() as session:
            count = missing_photos.count_missing(session, folder)
        if not count:
            output.say("No photo is missing.")
            return
        if not yes:
            typer.confirm(
                f"Forget the scores of {output.count(count, 'missing photo')}? "
                "Answer no if their disk is only disconnected.",
                abort=True,
            )
        with library.writing() as session:
            count = missing_photos.purge_missing(session, time.time(), folder)
    output.say(f"{output.count(count, 'photo')} forgotten.")
