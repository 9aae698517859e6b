"""`maclip archive sidecars`: write an archive's stars beside local copies of its photos."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.archive.report_command import Generation, MemoryMb, Out
from maclip_daemon.cli.printing import output
from maclip_daemon.files.paths import printable_utf8

if TYPE_CHECKING:
    from maclip_daemon.archive.local_copies import LocalCopies
    from maclip_daemon.archive.rated_rows import RatedRow
    from maclip_daemon.archive.results_folder import Rows
    from maclip_daemon.library.storage.database import Library
    from maclip_daemon.pipeline.commands.archive_results.archive_sidecars import SidecarOutcome, SidecarResult
    from maclip_daemon.settings import Settings

_WORDS: dict[SidecarOutcome, str] = {
    "written": "written",
    "unchanged": "up to date already",
    "person": "left alone with a person's rating",
    "watched": "left to the library that watches them (`maclip archive import`)",
    "missing": "not on this machine",
    "other": "left alone: another file has that name now (its size differs)",
    "skipped": "left alone for the reasons listed above",
    "failed": "failed for the reasons listed above",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(sidecars)


def sidecars(
    context: typer.Context,
    out: Out,
    below: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where the photos lie here. Default: addresses are paths.",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="With --below: the beginning of the addresses for which FOLDER stands.",
            show_default="what all addresses have in common",
        ),
    ] = None,
    generation: Generation = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many sidecars would be written.")
    ] = False,
    memory_mb: MemoryMb = 2048,
) -> None:
    """Write XMP sidecars with an archive's stars beside local copies of its photos.

    For folders that no library watches; in a watched one use `maclip archive import`. The stars are shares of
    the whole archive (`rating.shares`). The photos are not opened for their pixels: a file of another size
    than the one that was scored is left alone. A person's ratings are never changed, a second run writes what
    is new, and `maclip undo` restores every file. Stop the daemon first.
    """
    from maclip_daemon.archive.extra import require_archive_extra

    require_archive_extra()
    from maclip_daemon.archive import rated_rows
    from maclip_daemon.archive.results_folder import open_results
    from maclip_daemon.daemon.lock import locked
    from maclip_daemon.errors import UsageError
    from maclip_daemon.library.storage.database import Library

    if source is not None and below is None:
        raise UsageError("--source needs --below: which folder of this machine stands for these addresses?")
    settings = invocation.from_context(context).settings()
    results = open_results(out)
    with (
        locked(settings.data_dir),
        contextlib.closing(Library.open(settings.database_path)) as library,
        results.rows(generation, memory_mb=memory_mb) as rows,
    ):
        copies = _copies(rows, below, source)
        edges = settings.rating.edges or rated_rows.star_edges(rows, settings.rating.shares)
        rated = rated_rows.rated_rows(rows, edges)
        counts = _write(library, settings, _local(rated, copies), dry_run)
    output.say(_summary(counts, dry_run=dry_run))
    if counts["failed"]:
        raise typer.Exit(1)


def _copies(rows: Rows, below: Path | None, source: str | None) -> LocalCopies:
    from maclip_daemon.archive.local_copies import LocalCopies, common_source
    from maclip_daemon.errors import UsageError

    if below is None:
        return LocalCopies()
    folder = Path(invocation.resolve_path(below))
    if not folder.is_dir():
        raise UsageError(f"There is no folder {printable_utf8(below)}. Check the spelling.")
    chosen = (source if source is not None else common_source(rows)).rstrip("/")
    output.say(f"{printable_utf8(chosen)} is {printable_utf8(folder)} here.", error=True)
    return LocalCopies(chosen, folder)


def _local(rated: Iterable[RatedRow], copies: LocalCopies) -> Iterator[tuple[Path | None, RatedRow]]:
    return ((copies.path_of(row.address), row) for row in rated)


def _write(
    library: Library, settings: Settings, rated: Iterable[tuple[Path | None, RatedRow]], dry_run: bool
) -> Counter[SidecarOutcome]:
    """Write the sidecars of photos that have a path here; return how many came to each outcome."""
    from maclip_daemon.folders.filesystem_probe import FilesystemProbe
    from maclip_daemon.metadata.metadata_writer import MetadataWriter
    from maclip_daemon.pipeline import known_roots, recovery
    from maclip_daemon.pipeline.commands.archive_results.archive_sidecars import ArchiveSidecars

    counts: Counter[SidecarOutcome] = Counter()
    probe = FilesystemProbe(settings.folders.filesystem_timeout_s)
    known_roots.refresh_mounts(library, probe)
    known: set[Path] = set()

    def here() -> Iterator[tuple[Path, RatedRow]]:
        for path, row in rated:
            if path is None:
                counts["missing"] += 1
                continue
            if path.parent not in known:  # outside of the roots: it may be on a server of its own
                probe.refresh_mounts(str(path.parent))
                known.add(path.parent)
            yield path, row

    recovery.recover(library, probe, settings.data_dir / "spool", time.time())
    with MetadataWriter() as writer:
        sidecars = ArchiveSidecars(library, writer, probe, settings.rating, time.time)
        for result in _with_progress(sidecars.write(here(), dry_run=dry_run)):
            counts[result.outcome] += 1
            if result.outcome in ("failed", "skipped"):
                output.say(f"{result.outcome}: {result.sentence()}", error=True)
    return counts


def _with_progress(results: Iterator[SidecarResult]) -> Iterator[SidecarResult]:
    if not sys.stderr.isatty():
        yield from results
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(results, "sidecars", total=None, console=Console(stderr=True), transient=True)


def _summary(counts: Counter[SidecarOutcome], *, dry_run: bool) -> str:
    parts = [f"{counts[outcome]} {words}" for outcome, words in _WORDS.items() if counts[outcome]]
    if not parts:
        return "No photo in these results has a score."
    return f"{'This would be the result: ' if dry_run else ''}{', '.join(parts)}."
