"""The program's commands, put together from one module for each group.

A command line that begins with a command loads its module alone, so that it starts at once. All others have
all: help, global options, completion, and words that are no command.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from maclip_daemon.cli.invocation import Invocation

_MODULES = {
    "run_command": ["run"],
    "score_command": ["score"],
    "queries.ranking_commands": ["worst", "best", "ratings"],
    "review_command": ["review"],
    "queries.burst_commands": ["bursts"],
    "cull_command": ["cull"],
    "queries.show_command": ["show"],
    "queries.status_command": ["status"],
    "queries.stats_command": ["stats"],
    "background.pause_commands": ["pause", "resume"],
    "background.notify_command": ["notify"],
    "rating_commands": ["rate", "undo"],
    "adopt_command": ["adopt"],
    "upkeep_commands": ["retry", "purge"],
    "eval_command": ["eval"],
    "completion_command": ["completion"],
    "doctor.doctor_command": ["doctor"],
    "archive.archive_group": ["archive"],
    "models_commands": ["models"],
    "service.service_commands": ["service"],
    "config_commands": ["config"],
    "database_commands": ["db"],
}
"""Where commands are, in the order of the help. Each module adds its own with `register(app)`."""


def assembled(arguments: Sequence[str] = ()) -> typer.Typer:
    """Return the program for this command line."""
    app = typer.Typer(
        name="maclip",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog="Exit codes: 0 done, 1 some photos failed (each is named), 2 wrong command, 3 this machine "
        "needs a repair first (the message says which), 75 maclip was updated meanwhile (start it again).",
    )
    app.callback(invoke_without_command=True)(main)
    chosen = [module for module, names in _MODULES.items() if set(arguments[:1]) & set(names)]
    for module in chosen or _MODULES:
        importlib.import_module(f"maclip_daemon.cli.{module}").register(app)
    return app


def main(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(help="The configuration file. Default: `maclip config path`.", show_default=False),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="The folder of the database and imported models; also MACLIP_DATA_DIR.", show_default=False
        ),
    ] = None,
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, help="Print more: debug messages.")
    ] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings and errors.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Score the quality of your photos, and write star ratings that darktable and digiKam read.

    Begin with `maclip run ~/Pictures`; then `maclip worst` lists the shots to cull. By default the photos
    themselves stay untouched, and `maclip undo` restores every file that maclip changed.
    """
    if version:
        from maclip_daemon import __version__

        typer.echo(f"maclip {__version__}")
        raise typer.Exit
    context.obj = Invocation(config, data_dir, -1 if quiet else verbose)
