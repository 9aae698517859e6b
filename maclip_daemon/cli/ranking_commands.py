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


class ListFormat(enum.StrEnum):
    """Output format of a list of photos."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PATHS = "paths"
    PATHS0 = "paths0"


Count = Annotated[int, typer.Option("--number", "-n", min=1, help="How many photos.")]
Under = Annotated[Path | None, typer.Option(help="Only photos in this folder and below.", show_default=False)]
Each = Annotated[bool, typer.Option("--all", help="Show every photo of a burst, not one row for each burst.")]
Layout = Annotated[
    ListFormat,
    typer.Option(
        "--format",
        "-f",
        help="`json`: one line per photo. `paths0`: paths ended by NUL, for `xargs -0`.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(worst)
    app.command()(best)
    app.command()(ratings)


def worst(
    context: typer.Context,
    number: Count = 20,
    under: Under = None,
    layout: Layout = ListFormat.TABLE,
    each: Each = False,
) -> None:
    """List the photos with the lowest scores: the candidates for culling.

    Of a burst only its weakest frame is shown; brackets, panoramas, focus stacks and time lapses are kept
    whole and left out. maclip never deletes a photo. To copy the fifty worst into one folder:
    `maclip worst -n 50 --format paths0 | xargs -0 cp -t ~/cull`
    """
    _list(context, "worst", number, under, layout, each=each)


def best(
    context: typer.Context,
    number: Count = 20,
    under: Under = None,
    layout: Layout = ListFormat.TABLE,
    each: Each = False,
) -> None:
    """List the photos with the highest scores: the keepers. Of one moment only the best is shown."""
    _list(context, "best", number, under, layout, each=each)


def ratings(
    context: typer.Context,
    under: Under = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line for each photo.")] = False,
) -> None:
    """List whose rating each photo has: maclip's, yours, or nobody's.

    Your stars in darktable's library count too, where no file holds them. darktable's panel asks this before
    it takes over stars.
    """
    from maclip_daemon.pipeline.rating import rating_owners

    call = invocation.from_context(context)
    settings = call.settings()
    folder = None if under is None else invocation.resolve_folder(under)
    with call.open_readonly(settings) as library, library.snapshot() as snapshot:
        rows = rating_owners.owners(snapshot, settings.rating.darktable_libraries, folder)
    if as_json:
        for row in rows:
            output.print_json(dataclasses.asdict(row))
        return
    output.print_table(
        "Ratings",
        {"rating": "left", "whose": "left", "photo": "left"},
        ((output.stars(row.rating), _WHOSE[row.rating_owner], row.path) for row in rows),
    )


_WHOSE = {"person": "yours", "maclip": "maclip's", "none": "nobody's"}


def _list(
    context: typer.Context, which: str, number: int, under: Path | None, layout: ListFormat, *, each: bool
) -> None:
    from maclip_daemon.library.queries import rankings

    call = invocation.from_context(context)
    with call.open_readonly(call.settings()) as library, library.snapshot() as snapshot:
        folder = None if under is None else invocation.resolve_folder(under)
        rows = (rankings.worst if which == "worst" else rankings.best)(
            snapshot, number, folder, one_a_burst=not each
        )
    match layout:
        case ListFormat.TABLE:
            _print_table(which, rows)
        case ListFormat.JSON:
            for row in rows:
                output.print_json(dataclasses.asdict(row))
        case ListFormat.CSV:
            from maclip_daemon.library.queries.rankings import PhotoRow

            columns = [field.name for field in dataclasses.fields(PhotoRow)]
            output.print_csv(columns, (dataclasses.asdict(row) for row in rows))
        case ListFormat.PATHS:
            for row in rows:
                output.say(row.path)
        case ListFormat.PATHS0:
            sys.stdout.flush()
            sys.stdout.buffer.write(b"".join(os.fsencode(row.path) + b"\0" for row in rows))


def _print_table(which: str, rows: list[PhotoRow]) -> None:
    if not rows:
        output.say("No scored photos here yet (`maclip status` shows the progress).")
        return
    output.print_table(
        f"The {which} {len(rows)} photos" if len(rows) > 1 else f"The {which} photo",
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
