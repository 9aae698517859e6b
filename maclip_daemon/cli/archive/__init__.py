"""`maclip archive`: bulk scoring, and what is done with its results."""

from __future__ import annotations

import typer

from maclip_daemon.cli.archive import import_command, report_command, sidecars_command

app = typer.Typer(
    no_args_is_help=True,
    help="Results of archives: millions of photos, scored into Parquet (docs/archive.md).",
)
report_command.register(app)
import_command.register(app)
sidecars_command.register(app)
