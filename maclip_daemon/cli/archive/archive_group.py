"""`maclip archive`: bulk scoring, and what is done with its results."""

from __future__ import annotations

import typer

from maclip_daemon.cli.archive import archive_command, import_command, report_command, sidecars_command

group = typer.Typer(
    cls=archive_command.SourceFirst,
    no_args_is_help=True,
    subcommand_metavar="SOURCE --out FOLDER | COMMAND …",
    help="Archives: millions of photos, scored into Parquet, here or on a Ray cluster (docs/archive.md).",
)
archive_command.register(group)
report_command.register(group)
import_command.register(group)
sidecars_command.register(group)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="archive")
