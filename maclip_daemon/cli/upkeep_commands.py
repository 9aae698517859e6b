"""`maclip retry` and `maclip purge`: retry failed photos, and forget missing ones."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.printing import output
from maclip_daemon.files.paths import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maclip_daemon.library.storage.database import Session

SIDECARS_SHOWN = 20  # before the question

Under = Annotated[Path | None, typer.Option(help="Only photos in this folder and below.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(retry)
    app.command()(purge)


def retry(context: typer.Context, under: Under = None) -> None:
    """Queue failed photos again. A running daemon scores them at once, otherwise the next run does."""
    from maclip_daemon.daemon.lock import is_running
    from maclip_daemon.library.queue import jobs

    call = invocation.from_context(context)
    settings = call.settings()
    folder = None if under is None else invocation.resolve_folder(under)
    with contextlib.closing(call.open_writable(settings)) as library, library.writing() as session:
        count = jobs.retry_dead(session, time.time(), folder)
    output.say(f"{output.count(count, 'photo')} to try again." if count else "No photo has failed.")
    if count and not is_running(settings.data_dir):
        output.say("The next `maclip run` tries again.")


def purge(
    context: typer.Context,
    under: Under = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be forgotten and removed.")
    ] = False,
) -> None:
    """Forget the scores of photos that are missing, and remove the sidecars that maclip made for them.

    Only sidecars of deleted photos that hold nothing but what maclip wrote. One that holds anything of yours
    or of another program stays, and undo still works for it. No photo is touched.
    """
    from maclip_daemon.folders.filesystem_probe import FilesystemProbe
    from maclip_daemon.library.photos import missing_photos
    from maclip_daemon.library.queue import jobs
    from maclip_daemon.metadata.metadata_writer import MetadataWriter
    from maclip_daemon.pipeline import known_roots
    from maclip_daemon.pipeline.bursts import regrouping
    from maclip_daemon.pipeline.bursts.best_frame import FRAMING_SPREAD
    from maclip_daemon.pipeline.commands import orphaned_sidecars

    call = invocation.from_context(context)
    settings = call.settings()
    folder = None if under is None else invocation.resolve_path(under)
    probe = FilesystemProbe(settings.folders.filesystem_timeout_s)
    with (
        contextlib.closing(call.open_writable(settings)) as library,
        MetadataWriter(known_roots.paths(library)) as writer,
    ):
        with library.reading() as session:
            count = missing_photos.count_missing(session, folder)
        if not count:
            output.say("No photo is missing.")
            return
        known_roots.refresh_mounts(library, probe)
        found = orphaned_sidecars.find(library, writer, probe, folder)
        _list(found.ours, is_whole=yes or dry_run)
        if dry_run:
            output.say(f"{_purged(count, len(found.ours))} would go. {_kept(len(found.others))}".rstrip())
            return
        if not yes:
            also = f", and remove {output.count(len(found.ours), 'sidecar')} of theirs (listed above)"
            typer.confirm(
                f"Forget the scores of {output.count(count, 'missing photo')}{also if found.ours else ''}? "
                "Answer no if their disk is only disconnected.",
                abort=True,
            )
        removed = 0
        for sidecar, reason in orphaned_sidecars.remove(library, writer, probe, found.ours, time.time()):
            removed += not reason
            if reason:
                line = reason if sidecar in reason else f"{sidecar}: {reason}"
                output.say(f"left alone: {printable(line)}", error=True)
        with library.writing() as session:
            count = missing_photos.purge_missing(session, time.time(), folder)
        is_off = settings.rating.mode == "off"

        def ask(session: Session, changed: Sequence[int]) -> None:
            jobs.enqueue(session, () if is_off else changed, "rate", time.time())

        regrouping.regroup_all(library, FRAMING_SPREAD, ask)
    and_removed = f", {output.count(removed, 'sidecar')} removed" if removed else ""
    output.say(f"{output.count(count, 'photo')} forgotten{and_removed}. {_kept(len(found.others))}".rstrip())


def _list(sidecars: list[str], *, is_whole: bool) -> None:
    """Print the sidecars that are to go; before a question only the first ones."""
    shown = sidecars if is_whole else sidecars[:SIDECARS_SHOWN]
    for sidecar in shown:
        output.say(printable(sidecar))
    if len(sidecars) > len(shown):
        output.say(f"and {len(sidecars) - len(shown)} more (`maclip purge --dry-run` lists them all)")


def _purged(photos: int, sidecars: int) -> str:
    scores = f"The scores of {output.count(photos, 'photo')}"
    return f"{scores} and {output.count(sidecars, 'sidecar')}" if sidecars else scores


def _kept(sidecars: int) -> str:
    if not sidecars:
        return ""
    return (
        "1 sidecar stays, because it holds more than maclip wrote."
        if sidecars == 1
        else f"{sidecars} sidecars stay, because they hold more than maclip wrote."
    )
