"""`maclip cull`: rejected photos leave for a folder, with all that belongs to them, and come back."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.filter_options import TypedFilter, takes_filter
from maclip_daemon.cli.printing import output
from maclip_daemon.files.paths import expanded, printable

if TYPE_CHECKING:
    from maclip_daemon.library.queries.rejected_photos import CullCandidate
    from maclip_daemon.pipeline.commands.culling.cull import Action, CulledFile
    from maclip_daemon.settings import Settings

NOTHING_REJECTED = (
    "You have rejected no photo.\nTo reject one: X in `maclip review`, R in darktable, or reject in digiKam."
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(cull)


@takes_filter("mine", "rated_by")
def cull(
    context: typer.Context,
    typed: TypedFilter,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]…", help="Folders or photos. Default: the whole library."),
    ] = None,
    as_list: Annotated[
        bool, typer.Option("--list", help="Print the files, one on a line. This is the default.")
    ] = False,
    copy: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Copy them to this folder.", show_default=False),
    ] = None,
    move: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Move them to this folder.", show_default=False),
    ] = None,
    undo: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Bring back what was moved to this folder.", show_default=False),
    ] = None,
    from_worst: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Take this many of the weakest photos that you have neither rated nor picked, in place of "
            "the rejected ones. Asks before it moves any.",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    print0: Annotated[bool, typer.Option("--print0", help="End each path with NUL, for `xargs -0`.")] = False,
) -> None:
    """Take the photos that you rejected away, with their RAWs, JPEGs and sidecars. Nothing is deleted.

    A file whose name is taken in the folder gets a number, the same for the whole shot. Each file is asked
    again before it leaves: one that you have rated since in darktable or digiKam stays. Options such as
    `--since`, `--camera` and `--reason` choose among the photos as in `maclip worst`. What was moved is
    listed in the folder, and `maclip cull --undo FOLDER` brings it back. A folder in which the photos would
    be lost (watched, hidden, of the system or another program) is refused. Ends with exit code 1 when a
    file was left alone.
    """
    from maclip_daemon.errors import UsageError

    if sum(each is not None for each in (copy, move, undo)) + as_list > 1:
        raise UsageError("Use one of --list, --copy, --move and --undo.")
    call = invocation.from_context(context)
    settings = call.settings()
    if undo is not None:
        if not _bring_back(call, settings, _absolute(undo)):
            raise typer.Exit(1)
        return
    folder = _fit(call, settings, move) if move is not None else copy and _absolute(copy)
    back = _finish(call, settings, folder) if move is not None and folder is not None else []
    under = tuple(invocation.resolve_path(path) for path in paths or [])
    with call.open_readonly(settings) as library, library.snapshot() as snapshot:
        from maclip_daemon.library.queries import rejected_photos

        chosen = typed.chosen(snapshot, under=under)
        if from_worst is None:
            candidates = rejected_photos.rejected(snapshot, chosen)
        else:
            candidates = rejected_photos.weakest(snapshot, from_worst, chosen)
    shots, left = _shots(call, settings, candidates)
    left = [*back, *left]
    action: Action = "move" if copy is None else "copy"
    if folder is None:
        _print(shots, "\0" if print0 else "\n")
        if not candidates:
            output.say(NOTHING_REJECTED if from_worst is None else "No photo is scored yet.", error=True)
        is_done = _name(left)
    else:
        is_done = _take(shots, left, folder, action, ask=from_worst is not None and not yes)
    if not is_done:
        raise typer.Exit(1)


def _finish(call: invocation.Invocation, settings: Settings, folder: Path) -> list[CulledFile]:
    """Move the rest of a shot that was cut off; return the files that stay instead."""
    from maclip_daemon.metadata.metadata_writer import MetadataWriter
    from maclip_daemon.pipeline import known_roots
    from maclip_daemon.pipeline.commands.culling import cull as culling

    with call.open_readonly(settings) as library, MetadataWriter(known_roots.paths(library)) as writer:
        return [each for each in culling.finish(folder, time.time(), writer) if each.reason]


def _fit(call: invocation.Invocation, settings: Settings, typed: Path) -> Path:
    """Return the folder for the photos, resolved. Raises `UsageError` where they would be lost."""
    from maclip_daemon.library.queries.finding import folder_list
    from maclip_daemon.pipeline.commands.culling import cull_folder

    with call.open_readonly(settings) as library, library.snapshot() as snapshot:
        watched = cull_folder.watched_folders(folder_list.roots(snapshot), settings)
    return cull_folder.require_fit(str(_absolute(typed)), watched)


def _bring_back(call: invocation.Invocation, settings: Settings, folder: Path) -> bool:
    """Bring back what a folder holds; return whether all of it came.

    A watched folder whose disk is not there gets nothing: its empty mount point would swallow the photos.
    """
    from maclip_daemon.library.photos import root_records
    from maclip_daemon.pipeline.commands.culling import cull as culling
    from maclip_daemon.pipeline.commands.culling import cull_folder

    roots: list[root_records.KnownRoot] = []
    if settings.database_path.exists():  # else no folder is watched
        with call.open_readonly(settings) as library, library.reading() as session:
            roots = root_records.known_roots(session)
    brought_back = culling.bring_back(folder, lambda path: cull_folder.why_absent(roots, path))
    return _report(brought_back, "brought back", "Nothing is there to bring back.")


def _shots(
    call: invocation.Invocation, settings: Settings, candidates: list[CullCandidate]
) -> tuple[list[list[Path]], list[CulledFile]]:
    """Return the files of the photos that may leave, and those that stay."""
    from maclip_daemon.folders.filesystem_probe import FilesystemProbe
    from maclip_daemon.metadata.metadata_writer import MetadataWriter
    from maclip_daemon.pipeline import known_roots
    from maclip_daemon.pipeline.commands.culling import cull as culling

    probe = FilesystemProbe(settings.folders.filesystem_timeout_s)
    chosen: list[Path] = []
    left: list[CulledFile] = []
    with contextlib.closing(call.open_readonly(settings)) as library:
        known_roots.refresh_mounts(library, probe)
        with MetadataWriter(known_roots.paths(library)) as writer:
            for each in culling.confirmed(candidates, writer, probe):
                if isinstance(each, culling.CulledFile):
                    left.append(each)
                else:
                    chosen.append(Path(each.path))
    return culling.with_sidecars(chosen), left


def _take(
    shots: list[list[Path]], left: list[CulledFile], folder: Path, action: Action, *, ask: bool
) -> bool:
    from maclip_daemon.errors import EnvironmentUnfit, UsageError
    from maclip_daemon.pipeline.commands.culling import cull as culling
    from maclip_daemon.pipeline.commands.culling import cull_folder

    is_done = _name(left)
    if shots and ask:
        if not sys.stdin.isatty():
            raise UsageError("--from-worst asks before it takes photos. On a script's behalf: --yes.")
        _print(shots, "\n")
        photos = output.count(len(shots), "photo")
        typer.confirm(f"{action.capitalize()} these {photos} to {folder}?", abort=True)
    if shots:
        if action == "move":
            cull_folder.require_space(folder, [file for shot in shots for file in shot])
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EnvironmentUnfit(f"The folder {folder} cannot be made: {error.strerror}.") from None
    done = "moved" if action == "move" else "copied"
    taken = culling.take(shots, folder, action)
    is_done = (
        _report(taken, f"{done} to {folder}", NOTHING_REJECTED if not ask else "No photo is scored yet.")
        and is_done
    )
    if shots and action == "move":
        output.say(f"`maclip cull --undo {folder}` brings them back.")
    return is_done


def _report(results: Iterable[CulledFile], done: str, nothing: str) -> bool:
    """Print what became of the files; return whether all of them were taken."""
    count = 0
    left = []
    for each in results:
        if each.target is None:
            left.append(each)
        else:
            count += 1
    output.say(f"{output.count(count, 'file')} {done}." if count or left else nothing)
    return _name(left)


def _name(left: list[CulledFile]) -> bool:
    for each in left:
        output.say(f"left alone: {printable(each.sentence())}", error=True)
    return not left


def _print(shots: list[list[Path]], end: str) -> None:
    for files in shots:
        for file in files:
            if end == "\n":
                output.say(printable(str(file)))
            else:
                print(file, end=end)


def _absolute(folder: Path) -> Path:
    return expanded(folder).absolute()
