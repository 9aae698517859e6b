"""The command line: one file for each command group, assembled here.

Commands import the other packages inside their functions, so that `maclip status` starts at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maclip_daemon.cli import (
    adopt_command,
    completion_command,
    config_commands,
    cull_command,
    database_commands,
    eval_command,
    models_commands,
    rating_commands,
    review_command,
    run_command,
    score_command,
    upkeep_commands,
)
from maclip_daemon.cli import archive as archive_commands
from maclip_daemon.cli.background import notify_command, pause_commands
from maclip_daemon.cli.doctor import doctor_command
from maclip_daemon.cli.invocation import Invocation
from maclip_daemon.cli.queries import (
    burst_commands,
    ranking_commands,
    show_command,
    stats_command,
    status_command,
)
from maclip_daemon.cli.service import service_commands

app = typer.Typer(
    name="maclip",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 some photos failed (each is named), 2 wrong command, 3 this machine needs "
    "a repair first (the message says which), 75 maclip was updated meanwhile (start it again).",
)


@app.callback(invoke_without_command=True)
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


run_command.register(app)
score_command.register(app)
ranking_commands.register(app)
review_command.register(app)
burst_commands.register(app)
cull_command.register(app)
show_command.register(app)
status_command.register(app)
stats_command.register(app)
pause_commands.register(app)
notify_command.register(app)
rating_commands.register(app)
adopt_command.register(app)
upkeep_commands.register(app)
eval_command.register(app)
completion_command.register(app)
doctor_command.register(app)
app.add_typer(archive_commands.app, name="archive")
app.add_typer(models_commands.app, name="models")
app.add_typer(service_commands.app, name="service")
app.add_typer(config_commands.app, name="config")
app.add_typer(database_commands.app, name="db")
