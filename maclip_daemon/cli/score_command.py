"""`maclip score`: score files or folders, and write nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.printing import output
from maclip_daemon.cli.run_command import GpuMemory, Metric, Model, Protocol
from maclip_daemon.files.paths import printable


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(score)


def score(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Photos, or folders of photos.")],
    model: Model = None,
    metric: Metric = None,
    protocol: Protocol = None,
    gpu_memory: GpuMemory = None,
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"] | None,
        typer.Option(
            help="Number format of the encoder. Published figures use fp32.",
            show_default="as in `maclip run`",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line for each photo.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Score photos and print the scores. Nothing is written: no database, no stars.

    A photo that cannot be scored is named with its reason, and the exit code is 1.
    """
    from maclip_daemon.errors import UsageError
    from maclip_daemon.pipeline.commands import score_photos

    if as_json and as_csv:
        raise UsageError("Give --json or --csv, not both.")
    chosen = invocation.typed_flags(
        model=model, metric=metric, protocol=protocol, gpu_memory_mib=gpu_memory, precision=precision
    )
    flags = {"scoring": chosen}
    settings = invocation.from_context(context).settings(flags)
    files = score_photos.collect(paths, settings)
    if not files:
        raise UsageError("No photos were found there. Name photos, or folders that contain some.")
    results = score_photos.score(files, settings)
    failed = 0
    if as_csv:
        rows = list(_with_progress(results, len(files)))
        output.print_csv(_columns(settings.scoring.metric), ({**row, **row["attributes"]} for row in rows))
        failed = sum(row["error"] is not None for row in rows)
    elif as_json:
        for row in _with_progress(results, len(files)):
            output.print_json(row)
            failed += row["error"] is not None
    else:
        rows = list(_with_progress(results, len(files)))
        good = sorted((row for row in rows if row["error"] is None), key=lambda row: row["score"])
        if good:
            output.print_table(
                f"{good[0]['model']} · {good[0]['metric']} · {good[0]['protocol']}, lowest first",
                {"score": "right", "cosine": "right", "magnitude": "right", "photo": "left"},
                (
                    (
                        output.number(row["score"], 4),
                        output.number(row["q_sim"]),
                        output.number(row["q_mag"]),
                        row["path"],
                    )
                    for row in good
                ),
            )
        for row in rows:
            if row["error"] is not None:
                output.say(f"failed: {printable(row['error'])}", error=True)
                failed += 1
    if failed:
        raise typer.Exit(1)


def _columns(metric: str) -> list[str]:
    """Return the columns of the CSV, with one for each prompt pair of the metric."""
    from maclip_daemon.iqa import metrics

    attributes = [pair.name for pair in metrics.parse(metric).pairs]
    return [
        "path",
        "score",
        "q_sim",
        "q_mag",
        "views",
        *attributes,
        "metric",
        "model",
        "protocol",
        "error",
        "overall",
        "detail",
    ]


def _with_progress(results: Iterator[dict[str, Any]], total: int) -> Iterator[dict[str, Any]]:
    if not sys.stderr.isatty():
        yield from results
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(results, "scoring", total=total, console=Console(stderr=True), transient=True)
