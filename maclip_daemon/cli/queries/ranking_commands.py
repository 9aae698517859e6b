"""`maclip worst` and `maclip best`: the shots to cull, and the ones to keep."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.filter_options import TypedFilter, takes_filter
from maclip_daemon.cli.printing import output, photo_table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from maclip_daemon.library.queries.photo_rows import PhotoRow
    from maclip_daemon.settings import Settings

    Below = Callable[[PhotoRow], RenderableType]


class ListFormat(enum.StrEnum):
    """Output format of a list of photos."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PATHS = "paths"
    PATHS0 = "paths0"


HIDDEN = "Those that you rated or picked are left out; `--rated-by anyone` shows them too."

Count = Annotated[int, typer.Option("--number", "-n", min=1, help="How many photos.")]
Under = Annotated[Path | None, typer.Option(help="Only photos in this folder and below.", show_default=False)]
Each = Annotated[
    bool,
    typer.Option(
        "--all",
        help="Every photo: all frames of a burst, both files of a RAW+JPEG shot, and those that you rated.",
    ),
]
Layout = Annotated[
    ListFormat,
    typer.Option(
        "--format",
        "-f",
        help="`json`: one line per photo. `paths0`: paths ended by NUL, for `xargs -0`.",
    ),
]
Pictures = Annotated[
    bool, typer.Option("--preview", help="On a terminal: a small picture under each line of the table.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(worst)
    app.command()(best)
    app.command()(ratings)


@takes_filter()
def worst(
    context: typer.Context,
    typed: TypedFilter,
    number: Count = 20,
    layout: Layout = ListFormat.TABLE,
    each: Each = False,
    preview: Pictures = False,
) -> None:
    """List the photos with the lowest scores: the candidates for culling.

    Photos that you rated or picked are left out; `--rated-by me` shows them, with your stars. Of a burst only
    its weakest frame is shown, of a RAW with its JPEG the RAW; brackets, panoramas, focus stacks and time
    lapses are kept whole and left out. maclip never deletes a photo. To copy the fifty worst into one folder:
    `maclip worst -n 50 --format paths0 | xargs -0 cp -t ~/cull`
    """
    _list(context, "worst", typed, number, layout, each=each, preview=preview)


@takes_filter()
def best(
    context: typer.Context,
    typed: TypedFilter,
    number: Count = 20,
    layout: Layout = ListFormat.TABLE,
    each: Each = False,
    preview: Pictures = False,
) -> None:
    """List the photos with the highest scores: the keepers. Of one moment only the best is shown.

    Photos that you rated or picked are left out; `--rated-by me` shows them, with your stars.
    """
    _list(context, "best", typed, number, layout, each=each, preview=preview)


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
    context: typer.Context,
    which: str,
    typed: TypedFilter,
    number: int,
    layout: ListFormat,
    *,
    each: bool,
    preview: bool,
) -> None:
    from maclip_daemon.library.queries import rankings
    from maclip_daemon.library.queries.finding import folder_list

    call = invocation.from_context(context)
    settings = call.settings()
    with call.open_readonly(settings) as library, library.snapshot() as snapshot:
        chosen = typed.chosen(snapshot, mine="any" if each else "undecided")
        first = rankings.worst if which == "worst" else rankings.best
        rows = first(snapshot, number, chosen, one_a_moment=not each)
        roots = folder_list.roots(snapshot)
    match layout:
        case ListFormat.TABLE:
            with _below(settings, roots, is_wanted=preview and bool(rows)) as below:
                _print_table(which, rows, roots, below, is_chosen=bool(typed.words or typed.under))
        case ListFormat.JSON:
            for row in rows:
                output.print_json(dataclasses.asdict(row))
        case ListFormat.CSV:
            from maclip_daemon.library.queries.photo_rows import PhotoRow

            columns = [field.name for field in dataclasses.fields(PhotoRow)]
            output.print_csv(columns, (dataclasses.asdict(row) for row in rows))
        case ListFormat.PATHS:
            for row in rows:
                output.say(row.path)
        case ListFormat.PATHS0:
            sys.stdout.flush()
            sys.stdout.buffer.write(b"".join(os.fsencode(row.path) + b"\0" for row in rows))


@contextlib.contextmanager
def _below(settings: Settings, roots: list[str], *, is_wanted: bool) -> Iterator[Below | None]:
    """Yield what makes the picture under the line of a photo; None where there is to be none."""
    from maclip_daemon.cli.printing import terminal_pictures

    if not is_wanted or not terminal_pictures.can_be_shown():
        yield None
        return
    with terminal_pictures.pictures(settings.decoding, [Path(root) for root in roots]) as picture:
        yield lambda row: picture(row.path)


def _print_table(
    which: str, rows: list[PhotoRow], roots: list[str], below: Below | None, *, is_chosen: bool
) -> None:
    if not rows and is_chosen:
        output.say(f"No scored photo fits. {HIDDEN}")
    elif not rows:
        output.say(f"No scored photos here yet (`maclip status` shows the progress). {HIDDEN}")
    elif sys.stdout.isatty():
        title = f"The {which} {len(rows)} photos" if len(rows) > 1 else f"The {which} photo"
        photo_table.show(title, rows, roots, below)
    else:
        rows_of_text = ((*photo_table.cells(row), row.path) for row in rows)
        output.print_table("", photo_table.HEADINGS, rows_of_text)
