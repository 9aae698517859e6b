"""`maclip adopt`: take over ratings that are provably maclip's, but that this library did not write."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.printing import output
from maclip_daemon.files.paths import printable, with_path

if TYPE_CHECKING:
    from maclip_daemon.pipeline.commands.adopt_ratings import Adopted, AdoptResult


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(adopt)


def adopt(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]…", help="Photos or folders. Default: all photos of the library."),
    ] = None,
    without_proof: Annotated[
        bool,
        typer.Option(
            "--without-proof",
            help="Also take over sidecars of versions before 0.3: those whose rating equals maclip:Stars.",
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be taken over.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line for each photo.")] = False,
) -> None:
    """Take over stars that another maclip library wrote: they then follow new scores and can be undone.

    `maclip run` does this for photos that it finds anew. Use it after a library was lost, or when two
    libraries rated one folder and this one is to go on. Each file proves by itself that its stars are
    maclip's and were not changed since. Versions before 0.3 wrote no proof: `--without-proof` trusts that a
    rating equal to maclip:Stars is maclip's. It would be wrong where you gave the very same stars later.

    Your own ratings stay yours. Ends with exit code 1 when a photo could not be read.
    """
    from maclip_daemon.folders.filesystem_probe import FilesystemProbe
    from maclip_daemon.library.photos import known_ratings
    from maclip_daemon.metadata.metadata_writer import MetadataWriter
    from maclip_daemon.pipeline import known_roots
    from maclip_daemon.pipeline.commands import adopt_ratings

    call = invocation.from_context(context)
    settings = call.settings()
    chosen = [invocation.resolve_path(path) for path in paths or []]
    counts: Counter[Adopted] = Counter()
    probe = FilesystemProbe(settings.folders.filesystem_timeout_s)
    with (
        contextlib.closing(call.open_writable(settings)) as library,
        MetadataWriter(known_roots.paths(library)) as writer,
    ):
        known_roots.refresh_mounts(library, probe)
        with library.reading() as session:
            photo_ids = known_ratings.present_photos(session, chosen)
        results = adopt_ratings.adopt(
            library, writer, probe, photo_ids, time.time(), without_proof=without_proof, dry_run=dry_run
        )
        for result in _with_progress(results, len(photo_ids)):
            counts[result.outcome] += 1
            if as_json:
                output.print_json(asdict(result))
            elif result.reason and result.outcome != "person":
                output.say(f"left alone: {printable(with_path(result.path, result.reason))}", error=True)
            elif dry_run and result.outcome == "adopted":
                output.say(f"{printable(result.path)}: {output.stars(result.stars)}")
    if not photo_ids:
        output.say("The library knows no photo there. `maclip run FOLDER` finds them first.", error=as_json)
    else:
        output.say(adopt_ratings.summary(counts, dry_run=dry_run), error=as_json)
    if counts["failed"]:
        raise typer.Exit(1)


def _with_progress(results: Iterator[AdoptResult], total: int) -> Iterator[AdoptResult]:
    if not sys.stderr.isatty():
        yield from results
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(results, "reading", total=total, console=Console(stderr=True), transient=True)
