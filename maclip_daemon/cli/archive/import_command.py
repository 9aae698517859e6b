"""`maclip archive import`: bring the scores of an archive into the library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.archive.report_command import Generation, MemoryMb, Out
from maclip_daemon.cli.printing import output
from maclip_daemon.cli.run_command import run_once_told

if TYPE_CHECKING:
    from maclip_daemon.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("import")(import_scores)


def import_scores(
    context: typer.Context,
    out: Out,
    roots: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[ROOT]…", help="Folders of photos. Default: the watched ones."),
    ] = None,
    generation: Generation = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many photos the results know; change nothing.")
    ] = False,
    memory_mb: MemoryMb = 2048,
) -> None:
    """Bring the scores of an archive into the library; stars, sidecars, page and SQL follow.

    Makes one pass over the folders, as `maclip run --once` does. Each new photo is decoded once, and known
    by its pixels, whatever it is called here; the score is taken from the results, and is not computed again.
    Photos that the archive does not have are scored here. A photo that has a score of this model keeps it, so
    that a second import changes nothing. Stop the daemon first.
    """
    from maclip_daemon.archive.extra import require_archive_extra

    require_archive_extra()
    from maclip_daemon.pipeline.commands.archive_results.import_scores import import_source

    call = invocation.from_context(context)
    flags: dict[str, Any] = {} if call.verbosity else {"log": {"level": "error"}}
    settings = call.settings(flags)
    if not dry_run:
        _require_no_daemon(settings)
    chosen = _roots(call, settings, roots or [])
    with import_source(out, chosen, settings, generation=generation, memory_mb=memory_mb) as source:
        if call.verbosity >= 0:
            output.say(
                f"{output.count(source.files, 'photo file')} below {output.count(len(chosen), 'folder')}; "
                f"{source.lookup.likely} of them have name and size of a photo in the results, others may "
                "have its pixels."
            )
        if dry_run:
            output.say("Nothing was changed. Without --dry-run the scores are brought into the library.")
        else:
            run_once_told(call, flags, chosen, source)


def _require_no_daemon(settings: Settings) -> None:
    """Raise `AlreadyRunning` before the results are read, which may take minutes."""
    from maclip_daemon.daemon.lock import locked

    with locked(settings.data_dir):
        pass


def _roots(call: invocation.Invocation, settings: Settings, typed: list[Path]) -> list[Path]:
    """Return the folders: those typed, else those of the settings, else those that the library knows."""
    from maclip_daemon.errors import UsageError
    from maclip_daemon.pipeline import known_roots

    chosen = typed or list(settings.folders.paths)
    if not chosen and settings.database_path.exists():
        with call.open_readonly(settings) as library:
            chosen = known_roots.paths(library)
    if not chosen:
        raise UsageError("No folder is watched yet: name one, as in `maclip archive import OUT ~/Pictures`.")
    return chosen
