"""`maclip models`: the models on this machine, their origin, and a check of their files."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.printing import output

if TYPE_CHECKING:
    from maclip_daemon.iqa.models.catalogue import CatalogueEntry
    from maclip_daemon.iqa.models.installed_models import InstalledModel

_SHA256_DIGITS = 12  # in the table; --json has all 64

group = typer.Typer(
    invoke_without_command=True,
    help="List models, download or import weights, verify what is installed.",
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="models")


@group.callback()
def main(context: typer.Context) -> None:
    """List the models when no command follows."""
    if context.invoked_subcommand is None:
        list_(context)


@group.command("list")
def list_(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line for each model.")] = False,
) -> None:
    """List the known and the imported models with their licences and SHA-256."""
    from maclip_daemon.iqa.models import catalogue, installed_models

    data_dir = invocation.from_context(context).settings().data_dir
    installed = installed_models.installed(data_dir)
    builtin = catalogue.builtin_card()
    rows: list[dict[str, Any]] = []
    for name in dict.fromkeys([*catalogue.CATALOGUE, *installed]):
        entry, here = catalogue.CATALOGUE.get(name), installed.get(name)
        card = builtin if name == "builtin" else None
        rows.append(
            {
                "name": name,
                "installed": here is not None or card is not None,
                "verified": here.verified if here else None,
                "megabytes": entry.megabytes if entry else None,
                "licence": entry.licence if entry else None,
                "protocol": _protocol(entry, here, card),
                "sha256": card["sha256"]
                if card
                else here.sha256
                if here
                else entry.sha256
                if entry
                else None,
                "origin": entry.origin if entry else here.source if here else None,
                "description": entry.description if entry else "Imported.",
                "fetch": _how_to_get(name, entry),
            }
        )
    if as_json:
        for row in rows:
            output.print_json(row)
        return
    output.print_table(
        "Models",
        {
            "name": "left",
            "here": "left",
            "MB": "right",
            "licence": "left",
            "protocol": "left",
            "SHA-256": "left",
            "what": "left",
        },
        (
            (
                row["name"],
                "yes" if row["installed"] else row["fetch"],
                row["megabytes"],
                row["licence"],
                row["protocol"],
                (row["sha256"] or "")[:_SHA256_DIGITS],
                row["description"],
            )
            for row in rows
        ),
    )
    output.say(
        "Also: file:PATH of any OpenAI-layout CLIP checkpoint, and every ARCHITECTURE/TAG of open_clip."
    )


@group.command()
def pull(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A name of `maclip models`, or an open_clip `ARCH/TAG`.")],
) -> None:
    """Download the weights of a model. An interrupted download resumes where it stopped.

    A file with another SHA-256 than the published one is refused.
    """
    from maclip_daemon.errors import UsageError
    from maclip_daemon.iqa.models import installing
    from maclip_daemon.iqa.models.catalogue import CATALOGUE

    data_dir = invocation.from_context(context).settings().data_dir
    architecture, slash, tag = name.partition("/")
    if slash:
        from maclip_daemon.iqa.models import open_clip_models

        open_clip_models.pull(architecture, tag, data_dir)
        output.say(f"{name} is installed. Use it with `--model {name}`.")
        return
    if name not in CATALOGUE:
        raise UsageError(f"There is no model {name!r} in the catalogue. `maclip models` lists it.")
    if not sys.stderr.isatty():
        model = installing.pull(CATALOGUE[name], data_dir)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task(name, total=None)
            model = installing.pull(
                CATALOGUE[name],
                data_dir,
                lambda done, total: progress.update(task, completed=done, total=total),
            )
    output.say(f"{model.name} is installed: {model.path}")
    output.say(
        "A running daemon uses it from its next start on; it then scores the photos again in the background."
    )


@group.command("import")
def import_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="OpenAI's TorchScript .pt, a state dict, or safetensors.")],
    name: Annotated[str | None, typer.Option(help="Its name here.", show_default="the file's")] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept a licence that forbids commercial use.")
    ] = False,
) -> None:
    """Copy a checkpoint file into the model folder. Code in the file is never executed."""
    from maclip_daemon.errors import UsageError
    from maclip_daemon.iqa.models import installing

    if not file.is_file():
        raise UsageError(f"There is no file {file}. Check the spelling.")
    model = installing.import_file(
        file, invocation.from_context(context).settings().data_dir, name=name, accept_licence=accept_licence
    )
    known = "the published file" if model.verified else "not a published file that maclip knows"
    output.say(f"{model.name} is installed ({known}; SHA-256 {model.sha256}).")


@group.command()
def verify(context: typer.Context) -> None:
    """Compare the SHA-256 of every installed model with that at its installation."""
    from maclip_daemon.errors import ModelUnavailable
    from maclip_daemon.iqa.models import catalogue, installed_models

    damaged = []
    if catalogue.BUILTIN_WEIGHTS.is_file():
        catalogue.resolve_builtin()
        output.say("builtin: intact")
    for model, is_intact in installed_models.verify(invocation.from_context(context).settings().data_dir):
        output.say(f"{model.name}: {'intact' if is_intact else 'DAMAGED'}")
        damaged += [] if is_intact else [model.name]
    if damaged:
        raise ModelUnavailable(
            f"{', '.join(damaged)}: the file changed since its installation. Pull or import it again."
        )


def _protocol(
    entry: CatalogueEntry | None, here: InstalledModel | None, card: Mapping[str, Any] | None
) -> str | None:
    from maclip_daemon.iqa.models import catalogue

    if card is not None:
        return str(card["protocol"])
    return catalogue.protocol_of(here) if here else entry.protocol if entry else None


def _how_to_get(name: str, entry: CatalogueEntry | None) -> str:
    if name == "builtin":
        return "not in this installation"
    return "pull" if entry is not None and entry.url else "import"
