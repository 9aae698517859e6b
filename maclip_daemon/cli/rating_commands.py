"""`maclip rate` and `maclip undo`: stars again, and every file as it was before."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.printing import output
from maclip_daemon.files.paths import printable


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(rate)
    app.command()(undo)


def rate(
    context: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many photos would change.")
    ] = False,
) -> None:
    """Make a new calibration from all your scores, and write the stars that change.

    Photos whose stars you took back with `maclip undo` get stars again. Ratings of your own stay. Exits with
    3 when a disk was full or a server did not answer; the stars of its photos are written by the next run.
    """
    from maclip_daemon.daemon import lock
    from maclip_daemon.errors import EnvironmentUnfit
    from maclip_daemon.pipeline.commands import rerate

    call = invocation.from_context(context)
    settings = call.settings()
    with contextlib.closing(call.open_writable(settings)) as library:
        if dry_run:
            preview = rerate.preview(library, settings)
            output.say(preview.sentence())
            return
        outcome = rerate.calibrate(library, settings, time.time())
        output.say(outcome.sentence())
        if settings.rating.mode == "off":
            output.say("rating.mode is off: the stars stay in the database.")
        elif not outcome.to_rate and not outcome.to_retag:
            return
        elif lock.is_running(settings.data_dir):
            output.say("The running daemon writes them.")
        else:
            with lock.locked(settings.data_dir):
                tally = rerate.write(library, settings)
            output.say(f"{tally.rated} rated, {tally.kept} of your own left alone, {tally.skipped} skipped.")
            if tally.offline:
                raise EnvironmentUnfit("\n".join(tally.offline))


def undo(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]…", help="Photos, sidecars or folders. Default: everything."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the files.")] = False,
) -> None:
    """Put every file that maclip wrote back as it was, byte for byte; sidecars it created are removed.

    A file that somebody changed since is left alone, and named; so is one whose disk is away. The scores stay
    in the database, and these photos get no new stars until `maclip rate`. Exits with 1 when a file had to be
    left.
    """
    from maclip_daemon.daemon import lock
    from maclip_daemon.folders.filesystem_probe import FilesystemProbe
    from maclip_daemon.metadata.metadata_writer import MetadataWriter
    from maclip_daemon.pipeline import root_opening
    from maclip_daemon.pipeline.commands import undo_ratings
    from maclip_daemon.pipeline.rating.recovery import recover

    call = invocation.from_context(context)
    settings = call.settings()
    chosen = [invocation.resolve_path(path) for path in paths or []]
    counts: Counter[undo_ratings.Outcome] = Counter()
    is_done = True
    probe = FilesystemProbe(settings.folders.filesystem_timeout_s)
    with contextlib.closing(call.open_writable(settings)) as library:
        root_opening.look_at_known(library, probe)
        if not lock.is_running(settings.data_dir):
            with lock.locked(settings.data_dir):  # what a killed run left in doubt counts too
                recover(library, probe, settings.data_dir / "spool", time.time())
        files = undo_ratings.targets(library, chosen)
        if dry_run:
            for file in files:
                output.say(printable(file))
            count = f"{len(files)} file{'s' if len(files) != 1 else ''}"
            output.say(f"{count} would be put back.", error=True)
            return
        with MetadataWriter() as writer:
            for undone in undo_ratings.undo(library, writer, probe, files, time.time()):
                counts[undone.outcome] += 1
                if not undone.is_done:
                    is_done = False
                    output.say(f"left alone: {printable(undone.sentence())}", error=True)
    output.say(undo_ratings.summary(counts))
    if not is_done:
        raise typer.Exit(1)
