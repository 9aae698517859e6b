"""`maclip db`: the path of the library, backup, check and restore."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.printing import output
from maclip_daemon.files.paths import expanded

app = typer.Typer(no_args_is_help=True, help="The library database: path, backup, check, restore.")


@app.command()
def path(context: typer.Context) -> None:
    """Print the path of the database, for `sqlite3 "$(maclip db path)"`."""
    output.say(str(invocation.from_context(context).settings().database_path))


@app.command()
def backup(
    context: typer.Context,
    destination: Annotated[
        Path | None,
        typer.Argument(help="A new file, or a folder. Default: beside the database, with the date."),
    ] = None,
) -> None:
    """Back up the database, also while the daemon runs, and check the copy."""
    from maclip_daemon.errors import UsageError
    from maclip_daemon.library.storage import recovery_hints

    call = invocation.from_context(context)
    settings = call.settings()
    stamp = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    destination = expanded(destination or settings.data_dir)
    if destination.is_dir():
        destination = destination / f"library-{stamp}.backup.db"
    if destination.exists():
        raise UsageError(f"{destination} exists already and was not changed. Name a new file for the backup.")
    with call.open_readonly(settings, any_version=True) as library:
        library.backup(destination)
    restoring = recovery_hints.maclip_command(
        settings.database_path, "db", "restore", str(destination.absolute())
    )
    output.say(f"Wrote {destination}. To restore it, stop the daemon, then run {restoring}.")


@app.command()
def check(context: typer.Context) -> None:
    """Check the whole database for damage."""
    from maclip_daemon.errors import DatabaseUnfit
    from maclip_daemon.library.storage.recovery_hints import damaged_hint

    call = invocation.from_context(context)
    settings = call.settings()
    with call.open_readonly(settings, any_version=True) as library:
        problems = library.check()
    if problems:
        raise DatabaseUnfit(
            f"The library {settings.database_path} is damaged ({problems[0]}; {len(problems)} in all). "
            f"{damaged_hint(settings.database_path)}"
        )
    output.say(f"{settings.database_path}: no problem found.")


@app.command()
def restore(
    context: typer.Context,
    backup: Annotated[Path | None, typer.Argument(help="The backup to restore.", show_default=False)] = None,
    new: Annotated[bool, typer.Option("--new", help="Begin with a new, empty library instead.")] = False,
) -> None:
    """Restore a backup, or begin a new library. Stop the daemon first. The present library is kept."""
    from maclip_daemon.daemon.lock import locked
    from maclip_daemon.errors import UsageError
    from maclip_daemon.library.storage import restore_database

    if (backup is None) is not new:
        raise UsageError("Name the backup to restore, or give --new to begin a new library.")
    settings = invocation.from_context(context).settings()
    library, now = settings.database_path, datetime.now()
    with locked(settings.data_dir):
        if backup is None:
            aside = restore_database.set_aside(library, now)
            output.say("The next `maclip run` begins a new library and scores the photos again.")
        else:
            aside = restore_database.restore(library, expanded(backup), now)
            output.say(f"{library} is now a copy of {backup}. Start the daemon; it finds the changes since.")
    if aside is not None:
        output.say(f"The library from before is kept in {aside}.")
