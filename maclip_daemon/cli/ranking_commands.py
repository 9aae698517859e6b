"""`maclip worst` and `maclip best`: the shots to cull, and the ones to keep."""

from __future__ import annotations

import dataclasses
import enum
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.printing import output

if TYPE_CHECKING:
    from maclip_daemon.library.queries.rankings import PhotoRow


class Format(enum.StrEnum):
    """How a list of photos is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PATHS = "paths"
    PATHS0 = "paths0"


Count = Annotated[int, typer.Option("--number", "-n", min=1, help="How many photos.")]
Under = Annotated[Path | None, typer.Option(help="Only photos in this folder and below.", show_default=False)]
Layout = Annotated[
    Format,
    typer.Option(
        "--format", "-f", help="`json`: a line a photo. `paths0`: paths ended by NUL, for `xargs -0`."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(worst)
    app.command()(best)


def worst(
    context: typer.Context, number: Count = 20, under: Under = None, layout: Layout = Format.TABLE
) -> None:
    """List the photos with the lowest scores: the shots to look at first when you cull.

    Nothing is ever deleted by maclip. To gather the fifty worst in one place:
    `maclip worst -n 50 --format paths0 | xargs -0 cp -t ~/cull`
    """
    _list(context, "worst", number, under, layout)


def best(
    context: typer.Context, number: Count = 20, under: Under = None, layout: Layout = Format.TABLE
) -> None:
    """List the photos with the highest scores: the keepers."""
    _list(context, "best", number, under, layout)


def _list(context: typer.Context, which: str, number: int, under: Path | None, layout: Format) -> None:
    from maclip_daemon.library.queries import rankings

    call = invocation.from_context(context)
    with call.open_readonly(call.settings()) as library, library.snapshot() as snapshot:
        folder = None if under is None else invocation.resolve_folder(under)
        rows = (rankings.worst if which == "worst" else rankings.best)(snapshot, number, folder)
    match layout:
        case Format.TABLE:
            _print_table(which, rows)
        case Format.JSON:
            for row in rows:
                output.print_json(dataclasses.asdict(row))
        case Format.CSV:
            from maclip_daemon.library.queries.rankings import PhotoRow

            columns = [field.name for field in dataclasses.fields(PhotoRow)]
            output.print_csv(columns, (dataclasses.asdict(row) for row in rows))
        case Format.PATHS:
            for row in rows:
                output.say(row.path)
        case Format.PATHS0:
            sys.stdout.flush()
            sys.stdout.buffer.write(b"".join(os.fsencode(row.path) + b"\0" for row in rows))


def _print_table(which: str, rows: list[PhotoRow]) -> None:
    if not rows:
        output.say("No scored photos here yet (`maclip status` says how far the work is).")
        return
    output.print_table(
        f"The {which} {len(rows)} photos",
        {"score": "right", "percentile": "right", "stars": "left", "photo": "left"},
        (
            (
                output.number(row.score, 4),
                output.number(row.percentile, 1),
                output.stars(row.stars),
                row.path,
            )
            for row in rows
        ),
    )
