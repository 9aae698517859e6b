"""`maclip archive report`: what the results of an archive say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from maclip_daemon.cli.printing import output
from maclip_daemon.cli.printing.score_bars import print_score_bars

if TYPE_CHECKING:
    from maclip_daemon.archive.results_report import ResultsReport

Out = Annotated[str, typer.Argument(metavar="OUT", help="The results: a folder or a URL, as `--out` had it.")]
Generation = Annotated[
    int | None,
    typer.Option(min=1, help="Results of an earlier model. Default: the newest.", show_default=False),
]
MemoryMb = Annotated[
    int, typer.Option(min=128, help="MiB of memory for sorting; what is beyond goes to a temporary file.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


def report(
    out: Out,
    number: Annotated[
        int, typer.Option("--number", "-n", min=1, help="How many photos and folders a list has.")
    ] = 20,
    generation: Generation = None,
    memory_mb: MemoryMb = 2048,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show how an archive's scores lie, its worst and best photos, its failures by kind, its weakest folders.

    Reads the results only, a million photos in some seconds; the photos themselves are not needed.
    """
    from maclip_daemon.archive.extra import require_archive_extra

    require_archive_extra()
    from maclip_daemon.archive import results_report
    from maclip_daemon.archive.results_folder import open_results

    found = results_report.report(
        open_results(out), generation=generation, number=number, memory_mb=memory_mb
    )
    if as_json:
        output.print_json(found.as_json())
    else:
        _print(found)


def _print(found: ResultsReport) -> None:
    output.say(_heading(found))
    for origin in found.origins:
        judged = " · ".join(origin[name] for name in ("model", "metric", "protocol"))
        precision = f", {origin['precision']}" if origin["precision"] else ""
        output.say(f"{judged}{precision}, maclip {origin['program_version']}")
    if found.scored:
        output.say()
        _print_scores(found)
    if found.failures:
        output.say()
        output.print_table(
            "Failures",
            {"photos": "right", "kind": "left", "for example": "left", "reason": "left"},
            ((row["photos"], row["kind"], row["example"], row["reason"]) for row in found.failures),
        )


def _heading(found: ResultsReport) -> str:
    generation = f"generation {found.generation}"
    if len(found.generations) > 1:
        generation += f" of {', '.join(map(str, found.generations))}"
    return (
        f"{output.count(found.photos, 'photo')}: {found.scored} scored, {found.failed} failed ({generation})"
    )


def _print_scores(found: ResultsReport) -> None:
    print_score_bars([(bar.low, bar.high, bar.photos) for bar in found.histogram])
    output.say()
    headings = {f"{percent} %": "right" for percent in found.percentiles}
    output.print_table("Below", headings, [[f"{score:.4f}" for score in found.percentiles.values()]])
    for title, rows in (("Worst", found.worst), ("Best", found.best)):
        output.say()
        output.print_table(
            title,
            {title.lower(): "right", "photo": "left"},
            ((f"{row['score']:.4f}", row["address"]) for row in rows),
        )
    output.say()
    output.print_table(
        "Weakest folders",
        {"photos": "right", "failed": "right", "mean": "right", "lowest": "right", "highest": "right"}
        | {"folder": "left"},
        (
            (
                row["photos"],
                row["failed"],
                *(output.number(row[name], 4) for name in ("mean", "lowest", "highest")),
                row["folder"],
            )
            for row in found.folders
        ),
    )
