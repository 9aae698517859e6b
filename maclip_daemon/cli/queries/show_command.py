"""`maclip show`: one photo, and why it has its score."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.printing import burst_sentence, explanation, output


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(show)


def show(
    context: typer.Context,
    photo: Annotated[Path, typer.Argument(help="A photo of the library.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    heatmap: Annotated[
        Path | None,
        typer.Option(
            help="Write a picture here (PNG or JPEG) that shows where the photo is sharp, with a legend.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Explain the score of a photo: why it is low, what was measured on its pixels, percentile, both cues,
    the weakest and the strongest part of the picture, its rating and whose it is, its place in a burst.
    """
    from maclip_daemon.errors import UsageError
    from maclip_daemon.library.queries import burst_list, photo_detail

    call = invocation.from_context(context)
    settings = call.settings()
    path = invocation.resolve_path(photo)
    with call.open_readonly(settings) as library, library.snapshot() as snapshot:
        detail = photo_detail.show(snapshot, path)
        burst = burst_list.burst_at(snapshot, path)
    if detail is None:
        raise UsageError(
            f"{photo} is not in the library. `maclip status` lists the watched folders; is it in one of them?"
        )
    if as_json:
        about_burst = dataclasses.asdict(burst) if burst else None
        output.print_json({**dataclasses.asdict(detail), "burst": about_burst})
    else:
        for line in explanation.lines(detail):
            output.say(line)
        if burst is not None:
            output.say(f"  moment     {burst_sentence.sentence(burst, path)}")
    if heatmap is not None:
        from maclip_daemon.cli.printing.heatmap import draw

        draw(Path(path), heatmap, settings)
        output.say(f"Wrote {heatmap}: blue is sharp, orange is blurred at 100 %.", error=as_json)
