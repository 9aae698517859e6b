"""`maclip rate` and `maclip undo`: recompute the stars, and restore the files from before."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.printing import output
from maclip_daemon.files.paths import printable

if TYPE_CHECKING:
    from maclip_daemon.folders.filesystem_probe import FilesystemProbe
    from maclip_daemon.library.storage.database import Library
    from maclip_daemon.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(rate)
    app.command()(undo)


def rate(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]…",
            help="With --over-first-stars or --again: only these photos, or those in these folders.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print how many photos would change.")
    ] = False,
    over_first_stars: Annotated[
        bool,
        typer.Option(
            "--over-first-stars",
            help="Rate the photos whose only rating is the one that darktable gives to each photo it "
            "imports. A ★ that you pressed looks the same and is replaced too; `maclip undo` brings it back.",
        ),
    ] = False,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="Write stars again to photos from which you took maclip's stars away (key 0)."
        ),
    ] = False,
) -> None:
    """Recompute the stars from all current scores, and write those that change.

    Photos whose stars you removed with `maclip undo` get stars again. Your own ratings stay, and so do photos
    from which you took the stars away, until you ask with --again. Ends with exit
    code 3 when a disk was full or a server did not respond; the next run writes the stars of those photos.
    """
    from maclip_daemon.daemon import lock
    from maclip_daemon.errors import UsageError
    from maclip_daemon.pipeline.commands import rerate

    if paths and not (over_first_stars or again):
        raise UsageError(
            "`maclip rate` rates all photos. It takes a PATH only with --over-first-stars or --again."
        )
    if over_first_stars and again:
        raise UsageError("Use --over-first-stars and --again one after the other.")
    call = invocation.from_context(context)
    settings = call.settings()
    under = [invocation.resolve_path(path) for path in paths or []]
    if again:
        _rate_again(call, settings, under, dry_run)
        return
    if over_first_stars:
        _rate_over_first_stars(call, settings, under, dry_run)
        return
    with contextlib.closing(call.open_writable(settings)) as library:
        if dry_run:
            preview = rerate.preview(library, settings)
            output.say(preview.sentence())
            return
        outcome = rerate.calibrate(library, settings, time.time())
        output.say(outcome.sentence())
        if settings.rating.mode == "off":
            output.say("rating.mode is off, so the stars are only in the database.")
        elif not (outcome.to_rate or outcome.to_retag or outcome.to_restore):
            return
        elif lock.is_running(settings.data_dir):
            output.say("The running daemon writes them.")
        else:
            _write(library, settings)


def _write(library: Library, settings: Settings) -> None:
    from maclip_daemon.daemon import lock
    from maclip_daemon.errors import EnvironmentUnfit
    from maclip_daemon.pipeline.commands import rerate

    with lock.locked(settings.data_dir):
        tally = rerate.write(library, settings)
    others = f", {tally.contested} left to another maclip library" if tally.contested else ""
    output.say(f"{tally.rated} rated, {tally.kept} of your own left alone, {tally.skipped} skipped{others}.")
    for shared in tally.shared:
        output.say(f"shared: {printable(shared)}", error=True)
    if tally.offline:
        raise EnvironmentUnfit("\n".join(tally.offline))


def _rate_again(call: invocation.Invocation, settings: Settings, under: list[str], dry_run: bool) -> None:
    from maclip_daemon.errors import EnvironmentUnfit
    from maclip_daemon.pipeline.commands import ask_again

    if settings.rating.mode == "off":
        raise EnvironmentUnfit("rating.mode is off, so nothing is written. Change it to have photos rated.")
    with contextlib.closing(call.open_writable(settings)) as library:
        chosen = ask_again.photos(library, under)
        photos = output.count(len(chosen), "photo")
        if dry_run:
            for _, path in chosen:
                output.say(printable(path))
            output.say(f"{photos} would get stars again.", error=True)
            return
        ask_again.allow(library, [photo_id for photo_id, _ in chosen], time.time())
        output.say(f"{photos} without stars may have them again.")
        if not chosen:
            return
        _rate_now_or_by_daemon(library, settings)


def _rate_now_or_by_daemon(library: Library, settings: Settings) -> None:
    from maclip_daemon.daemon import lock

    if lock.is_running(settings.data_dir):
        output.say("The running daemon rates them.")
    else:
        _write(library, settings)


def _rate_over_first_stars(
    call: invocation.Invocation, settings: Settings, under: list[str], dry_run: bool
) -> None:
    from maclip_daemon.errors import EnvironmentUnfit
    from maclip_daemon.folders.filesystem_probe import FilesystemProbe
    from maclip_daemon.metadata.metadata_writer import MetadataWriter
    from maclip_daemon.pipeline import known_roots
    from maclip_daemon.pipeline.commands import over_first_stars

    if settings.rating.mode == "off":
        raise EnvironmentUnfit("rating.mode is off, so nothing is written. Change it to have photos rated.")
    probe = FilesystemProbe(settings.folders.filesystem_timeout_s)
    chosen = []
    with contextlib.closing(call.open_writable(settings)) as library:
        known_roots.refresh_mounts(library, probe)
        with MetadataWriter(known_roots.paths(library)) as writer:
            for photo in over_first_stars.photos(library, writer, probe, under):
                if isinstance(photo, over_first_stars.LeftAlone):
                    output.say(f"left alone: {printable(photo.sentence())}", error=True)
                    continue
                chosen.append(photo)
                if dry_run:
                    output.say(printable(photo.path))
        photos = output.count(len(chosen), "photo")
        if dry_run:
            output.say(f"{photos} would be rated over darktable's first star.", error=True)
            return
        over_first_stars.allow(library, chosen, time.time())
        output.say(f"{photos} with darktable's first star and no other rating.")
        if not chosen:
            return
        _rate_now_or_by_daemon(library, settings)
    output.say(
        "To see them in darktable, select the photos and press 'take over MA-CLIP stars' or 'load sidecar "
        "file'. `maclip undo` brings its star back."
    )


def undo(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]…", help="Photos, sidecars or folders. Default: all files that maclip changed."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be undone.")] = False,
    decisions: Annotated[
        bool, typer.Option("--decisions", help="Also undo what you decided in `maclip review`.")
    ] = False,
) -> None:
    """Restore every file that maclip changed, byte for byte, and remove the sidecars it created.

    What you decided in the review page stays, unless --decisions is given. A file that you or another program
    changed since keeps these changes: only maclip's stars, tags and properties are taken out of it. Files on
    a disconnected disk are left alone and named. The scores stay in the database. No photo in these folders
    gets new stars until `maclip rate`, whatever a running daemon has in its queue. Photos that arrive later
    do. Ends with exit code 1 when a file was left alone.
    """
    from maclip_daemon.folders.filesystem_probe import FilesystemProbe
    from maclip_daemon.metadata.metadata_writer import MetadataWriter
    from maclip_daemon.pipeline import known_roots
    from maclip_daemon.pipeline.commands import undo_ratings

    call = invocation.from_context(context)
    settings = call.settings()
    chosen = [invocation.resolve_path(path) for path in paths or []]
    counts: Counter[undo_ratings.Outcome] = Counter()
    is_done = True
    copied = 0
    probe = FilesystemProbe(settings.folders.filesystem_timeout_s)
    with contextlib.closing(call.open_writable(settings)) as library:
        known_roots.refresh_mounts(library, probe)
        unrated = _hold(library, settings, probe, chosen, dry_run, decisions)
        files = undo_ratings.targets(library, chosen)
        with MetadataWriter(known_roots.paths(library)) as writer:
            results = undo_ratings.undo(
                library, writer, probe, files, time.time(), dry_run=dry_run, with_decisions=decisions
            )
            for undone in results:
                counts[undone.outcome] += 1
                copied += undone.is_copied_into_photo
                if not undone.is_done:
                    is_done = False
                    output.say(f"left alone: {printable(undone.sentence())}", error=True)
                elif dry_run:
                    output.say(printable(str(undone.path)))
    output.say(undo_ratings.summary(counts, dry_run=dry_run, unrated=unrated), error=dry_run)
    if copied:
        output.say(undo_ratings.copies_left(copied), error=dry_run)
    if not is_done:
        raise typer.Exit(1)


def _hold(
    library: Library,
    settings: Settings,
    probe: FilesystemProbe,
    chosen: list[str],
    dry_run: bool,
    with_decisions: bool,
) -> int:
    """Keep a daemon from these photos' files; return how many of the photos have no stars yet."""
    from maclip_daemon.daemon import lock
    from maclip_daemon.pipeline.commands import undo_ratings
    from maclip_daemon.pipeline.recovery import recover

    def finish_writes_of_killed_run() -> bool:
        if lock.is_running(settings.data_dir):
            return False
        with lock.locked(settings.data_dir):
            recover(library, probe, settings.data_dir / "spool", time.time())
        return True

    finish_writes_of_killed_run()
    if dry_run:
        return 0
    unrated = undo_ratings.hold(library, chosen, time.time(), with_decisions=with_decisions)
    undo_ratings.await_writes(library, chosen, finish_writes_of_killed_run)
    return unrated
