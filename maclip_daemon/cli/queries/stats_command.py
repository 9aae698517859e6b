"""`maclip stats`: the distribution of the scores, of all photos or of some."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.filter_options import TypedFilter, takes_filter
from maclip_daemon.cli.printing import output
from maclip_daemon.cli.printing.score_bars import print_score_bars


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(stats)


@takes_filter()
def stats(
    context: typer.Context,
    typed: TypedFilter,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    by: Annotated[str, typer.Option(help="Rows of the second table: `folder` or `month`.")] = "folder",
) -> None:
    """Show the distribution of the scores, of all photos or of some, and the weakest folders or months."""
    from maclip_daemon.errors import UsageError
    from maclip_daemon.library.queries import distribution

    if by not in ("folder", "month"):
        raise UsageError(f"--by takes folder or month, not {by!r}.")
    call = invocation.from_context(context)
    with call.open_readonly(call.settings()) as library, library.snapshot() as snapshot:
        chosen = typed.chosen(snapshot)
        summary = distribution.score_summary(snapshot, chosen)
        bins = distribution.histogram(snapshot, chosen=chosen)
        groups = (distribution.by_folder if by == "folder" else distribution.by_month)(snapshot, chosen)
    if as_json:
        output.print_json(
            {
                "summary": dataclasses.asdict(summary) if summary else None,
                "histogram": [dataclasses.asdict(each) for each in bins],
                by: [dataclasses.asdict(group) for group in groups],
            }
        )
        return
    if summary is None:
        output.say("No scored photos are here.")
        return
    output.say(
        "  ".join(
            f"{name.replace('_', ' ')} {_rounded(value)}"
            for name, value in dataclasses.asdict(summary).items()
        )
    )
    print_score_bars([(each.low, each.high, each.photo_count) for each in bins])
    output.print_table(
        f"By {by}",
        {"photos": "right", "mean": "right", "lowest": "right", "highest": "right", by: "left"},
        (
            (
                group.photo_count,
                f"{group.mean:.4f}",
                f"{group.lowest:.4f}",
                f"{group.highest:.4f}",
                group.name,
            )
            for group in groups
        ),
    )


def _rounded(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
