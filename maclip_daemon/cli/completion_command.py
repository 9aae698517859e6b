"""`maclip completion`: let the shell complete commands, options and values."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from maclip_daemon.cli.printing import output


class Shell(enum.StrEnum):
    """A shell that can complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(completion)


def completion(
    shell: Annotated[Shell, typer.Argument(help="Your shell.")],
    install: Annotated[
        bool, typer.Option("--install", help="Write it where the shell reads it at its next start.")
    ] = False,
) -> None:
    """Print what lets your shell complete maclip's commands: `source <(maclip completion bash)`."""
    from typer import completion as typers

    values = {"prog_name": "maclip", "complete_var": "_MACLIP_COMPLETE", "shell": shell.value}
    if not install:
        output.say(typers.get_completion_script(**values))  # type: ignore[attr-defined]
        return
    _, path = typers.install(**{name: values[name] for name in ("shell", "prog_name", "complete_var")})  # type: ignore[attr-defined]
    output.say(f"Wrote {path}. It works in the next {shell.value} that you open; delete the file to undo it.")
