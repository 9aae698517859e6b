"""`maclip retry` and `maclip purge`: failed photos again, and rows of photos that are gone."""

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
    """Give failed photos a fresh start. A running daemon takes them up at once, else the next run does."""
    from maclip_daemon.daemon.lock import is_running
    from maclip_daemon.library.queue import jobs

    call = invocation.from_context(context)
    settings = call.settings()
    folder = None if under is None else invocation.resolve_folder(under)
    with contextlib.closing(call.open_writable(settings)) as library, library.writing() as session:
        count = jobs.retry_dead(session, time.time(), folder)
    output.say(f"{count} to try again." if count else "Nothing has failed.")
    if count and not is_running(settings.data_dir):
        output.say("`maclip run` takes them up.")


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
                f"Forget {count} missing photos and their scores? If a disk is only unplugged, answer no.",
                abort=True,
            )
        with library.writing() as session:
            count = missing_photos.purge_missing(session, time.time(), folder)
    output.say(f"{count} forgotten.")
