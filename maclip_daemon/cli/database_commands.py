"""`maclip db`: the path of the library, backup, check and restore."""

from __future__ import annotations

import contextlib
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.printing import output
from maclip_daemon.files.paths import expanded, printable

if TYPE_CHECKING:
    from maclip_daemon.library.storage.open_readonly import ReadOnlyLibrary
    from maclip_daemon.settings import Settings

LOST_SHOWN = 20  # files; the whole list may be as long as the library

group = typer.Typer(no_args_is_help=True, help="The library database: path, backup, check, restore.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="db")


@group.command()
def path(context: typer.Context) -> None:
    """Print the path of the database, for `sqlite3 "$(maclip db path)"`."""
    output.say(str(invocation.from_context(context).settings().database_path))


@group.command()
def backup(
    context: typer.Context,
    destination: Annotated[
        Path | None,
        typer.Argument(help="A new file, or a folder. Default: beside the database, with the date."),
    ] = None,
) -> None:
    """Back up the database, also while the daemon runs, and check the copy."""
    from maclip_daemon.errors import UsageError
    from maclip_daemon.library.storage import recovery_hints

    call = invocation.from_context(context)
    settings = call.settings()
    stamp = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    destination = expanded(destination or settings.data_dir)
    if destination.is_dir():
        destination = destination / f"library-{stamp}.backup.db"
    if destination.exists():
        raise UsageError(f"{destination} exists already and was not changed. Name a new file for the backup.")
    with call.open_readonly(settings, any_version=True) as library:
        library.backup(destination)
    restoring = recovery_hints.maclip_command(
        settings.database_path, "db", "restore", str(destination.absolute())
    )
    output.say(f"Wrote {destination}. To restore it, stop the daemon, then run {restoring}.")


@group.command()
def check(
    context: typer.Context,
    sidecars: Annotated[
        bool,
        typer.Option("--sidecars", help="Also compare the library with every sidecar and photo it knows."),
    ] = False,
    pixels: Annotated[
        bool,
        typer.Option(
            "--pixels/--no-pixels",
            help="With --sidecars: also decode each photo, to see whether it is the one that was scored.",
            show_default=False,
        ),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check the whole database for damage; with --sidecars, also whether the files say the same.

    Nothing is changed, and a daemon may run meanwhile. With --sidecars, each disagreement of library,
    journal, sidecars and photos is named with what mends it, and the exit code is 1 when there is one.
    """
    from maclip_daemon.errors import DatabaseUnfit
    from maclip_daemon.library.storage.recovery_hints import damaged_hint

    call = invocation.from_context(context)
    settings = call.settings()
    with call.open_readonly(settings, any_version=not sidecars) as library:
        problems = library.check()
        if problems:
            raise DatabaseUnfit(
                f"The library {settings.database_path} is damaged ({problems[0]}; {len(problems)} in all). "
                f"{damaged_hint(settings.database_path)}"
            )
        if sidecars:
            _check_files(settings, library, with_pixels=pixels, as_json=as_json)
            return
    if as_json:
        output.print_json({"database": str(settings.database_path), "problems": []})
    else:
        output.say(f"{settings.database_path}: no problem found.")


def _check_files(settings: Settings, library: ReadOnlyLibrary, *, with_pixels: bool, as_json: bool) -> None:
    from maclip_daemon.cli.printing import disagreement_list
    from maclip_daemon.daemon.lock import is_running
    from maclip_daemon.folders.filesystem_probe import FilesystemProbe
    from maclip_daemon.metadata.metadata_writer import MetadataWriter
    from maclip_daemon.photos.decoder_pool import DecoderPool, default_count
    from maclip_daemon.pipeline import known_roots
    from maclip_daemon.pipeline.commands.check_files import FileCheck
    from maclip_daemon.pipeline.commands.rating_comparison import Rules

    probe = FilesystemProbe(settings.folders.filesystem_timeout_s)
    known_roots.refresh_mounts(library, probe)
    rules = Rules(settings.rating.mode != "off", bool(settings.rating.darktable_libraries))
    with contextlib.ExitStack() as open_things:
        roots = known_roots.paths(library)
        writer = open_things.enter_context(MetadataWriter(roots))
        count = default_count(settings.decoding)
        pool = DecoderPool(settings.decoding, count, roots) if with_pixels else None
        if pool is not None:
            open_things.enter_context(pool)
        check = FileCheck(library, writer, probe, rules, is_running=is_running(settings.data_dir))
        report = check.run(pool)
    if as_json:
        output.print_json(disagreement_list.as_json(settings.database_path, report))
    else:
        disagreement_list.show(settings.database_path, report)
    if report.disagreements:
        raise typer.Exit(1)


@group.command()
def restore(
    context: typer.Context,
    backup: Annotated[Path | None, typer.Argument(help="The backup to restore.", show_default=False)] = None,
    new: Annotated[bool, typer.Option("--new", help="Begin with a new, empty library instead.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Restore a backup, or begin a new library. Stop the daemon first. The present library is kept.

    Its journal is merged into the other one, so that `maclip undo` still restores every file. Where damage
    prevents that, the files concerned are listed first, and on a terminal you are asked.
    """
    from maclip_daemon.daemon.lock import locked
    from maclip_daemon.errors import UsageError
    from maclip_daemon.folders.filesystem_probe import FilesystemProbe
    from maclip_daemon.library.restore import restore_database
    from maclip_daemon.pipeline.commands import restore_library

    if (backup is None) is not new:
        raise UsageError("Name the backup to restore, or give --new to begin a new library.")
    settings = invocation.from_context(context).settings()
    library, now = settings.database_path, datetime.now()
    source = None if backup is None else expanded(backup)
    with locked(settings.data_dir), restore_database.restoring(library, source) as ready:
        lost = restore_library.beyond_undo(ready, FilesystemProbe(settings.folders.filesystem_timeout_s))
        _warn(restore_library.warnings(ready.report, lost, is_new=new), lost, is_asked=not yes)
        aside = ready.take_place(now)
    if backup is None:
        output.say("The next `maclip run` begins a new library and scores the photos again.")
    else:
        output.say(f"{library} is now a copy of {backup}. Start the daemon; it finds the changes since.")
    if merged := restore_library.merged(ready.report):
        output.say(merged)
    if aside is not None:
        output.say(f"The library from before is kept in {aside}.")


def _warn(warnings: list[str], lost: list[str], *, is_asked: bool) -> None:
    """Print what undo will lack, and ask on a terminal; a script goes on, because nothing is overwritten."""
    for line in warnings:
        output.say(line, error=True)
    for path in lost[:LOST_SHOWN]:
        output.say(f"  {printable(path)}", error=True)
    if len(lost) > LOST_SHOWN:
        output.say(f"  and {len(lost) - LOST_SHOWN} more", error=True)
    if warnings and is_asked and sys.stdin.isatty():
        typer.confirm("Go on? The present library is kept.", abort=True)
