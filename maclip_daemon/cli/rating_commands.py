"""`maclip rate` and `maclip undo`: recompute the stars, and restore the files from before."""

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
        bool, typer.Option("--dry-run", help="Only print how many photos would change.")
    ] = False,
) -> None:
    """Recompute the stars from all current scores, and write those that change.

    Photos whose stars you removed with `maclip undo` get stars again. Your own ratings stay. Ends with exit
    code 3 when a disk was full or a server did not respond; the next run writes the stars of those photos.
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
            output.say("rating.mode is off, so the stars are only in the database.")
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
        typer.Argument(
            metavar="[PATH]…", help="Photos, sidecars or folders. Default: all files that maclip changed."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be undone.")] = False,
) -> None:
    """Restore every file that maclip changed, byte for byte, and remove the sidecars it created.

    A file that you or another program changed since keeps these changes: only maclip's stars, tags and
    properties are taken out of it. Files on a disconnected disk are left alone and named. The scores stay
    in the database, and these photos get no new stars until `maclip rate`. Ends with exit code 1 when a
    file was left alone.
    """
    from maclip_daemon.daemon import lock
    from maclip_daemon.folders.filesystem_probe import FilesystemProbe
    from maclip_daemon.metadata.metadata_writer import MetadataWriter
    from maclip_daemon.pipeline import known_roots
    from maclip_daemon.pipeline.commands import undo_ratings
    from maclip_daemon.pipeline.recovery import recover

    call = invocation.from_context(context)
    settings = call.settings()
    chosen = [invocation.resolve_path(path) for path in paths or []]
    counts: Counter[undo_ratings.Outcome] = Counter()
    is_done = True
    probe = FilesystemProbe(settings.folders.filesystem_timeout_s)
    with contextlib.closing(call.open_writable(settings)) as library:
        known_roots.refresh_mounts(library, probe)
        if not lock.is_running(settings.data_dir):
            with lock.locked(settings.data_dir):  # finish the writes of a killed run first
                recover(library, probe, settings.data_dir / "spool", time.time())
        files = undo_ratings.targets(library, chosen)
        with MetadataWriter() as writer:
            for undone in undo_ratings.undo(library, writer, probe, files, time.time(), dry_run=dry_run):
                counts[undone.outcome] += 1
                if not undone.is_done:
                    is_done = False
                    output.say(f"left alone: {printable(undone.sentence())}", error=True)
                elif dry_run:
                    output.say(printable(str(undone.path)))
    output.say(undo_ratings.summary(counts, dry_run=dry_run), error=dry_run)
    if not is_done:
        raise typer.Exit(1)
