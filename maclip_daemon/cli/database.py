"""`maclip db`: where the library is, a safe copy of it, and a check."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from maclip_daemon.cli import invocation, output

app = typer.Typer(no_args_is_help=True, help="The library database: where it is, back it up, check it.")


@app.command()
def path(context: typer.Context) -> None:
    """Print the path of the database, for `sqlite3 "$(maclip db path)"`."""
    output.say(str(invocation.of(context).settings().database_path))


@app.command()
def backup(
    context: typer.Context,
    destination: Annotated[
        Path | None,
        typer.Argument(help="A new file, or a folder. Default: beside the database, with the date."),
    ] = None,
) -> None:
    """Copy the database safely while the daemon runs, and check the copy."""
    from maclip_daemon.errors import UsageError

    call = invocation.of(context)
    settings = call.settings()
    stamp = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    destination = (destination or settings.data_dir).expanduser()
    if destination.is_dir():
        destination = destination / f"library-{stamp}.backup.db"
    if destination.exists():
        raise UsageError(
            f"{destination} exists already and is left as it is. Name a new file for the backup."
        )
    with call.looking(settings) as library:
        library.backup(destination)
    output.say(
        f"Wrote {destination}. To restore: stop the daemon, remove {settings.database_path}-wal "
        f"and -shm if they are there, and copy the backup to {settings.database_path}."
    )


@app.command()
def check(context: typer.Context) -> None:
    """Check the whole database: its pages, its indexes, its references."""
    from maclip_daemon.errors import DatabaseUnfit

    call = invocation.of(context)
    settings = call.settings()
    with call.looking(settings) as library:
        problems = library.check()
    if problems:
        raise DatabaseUnfit(
            f"{settings.database_path} is damaged ({problems[0]}; {len(problems)} in all). Stop the daemon, "
            f"keep the file, and restore a backup (`ls {settings.data_dir}/*.backup.db`) or move it away to "
            "begin anew."
        )
    output.say(f"{settings.database_path}: no problem found.")
