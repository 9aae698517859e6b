"""Sidecars that a deleted photo has left behind: `maclip purge` removes those that are maclip's alone."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from maclip_daemon.errors import MaclipError, NoAnswer
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.library.photos import missing_photos
from maclip_daemon.library.photos.renames import rating_targets
from maclip_daemon.library.results import rating_journal
from maclip_daemon.library.results.rating_journal import JournalRow
from maclip_daemon.library.storage.database import Library
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import UndoEntry, UndoOutcome
from maclip_daemon.metadata.sidecars import sidecar_names
from maclip_daemon.metadata.writing.undo_delta import UndoDelta
from maclip_daemon.pipeline import file_stability, journal_compaction
from maclip_daemon.pipeline.commands.online_roots import OnlineRoots


@dataclass
class OrphanedSidecars:
    """The sidecars of photos that are gone."""

    ours: list[str] = field(default_factory=list)
    """They hold nothing but what maclip wrote, or copied from the photo."""
    others: list[str] = field(default_factory=list)
    """They hold something of a person or of another program."""


def find(
    library: Library, writer: MetadataWriter, probe: FilesystemProbe, under: str | None
) -> OrphanedSidecars:
    """Return the sidecars of missing photos (below `under`); those of offline disks are not seen."""
    roots = OnlineRoots(library, probe)
    with library.reading() as session:
        missing = missing_photos.missing_paths(session, under)
    found = OrphanedSidecars()
    stems: dict[str, set[str]] = {}
    for path in missing:
        if not _is_deleted(path, roots):
            continue
        try:
            sidecars = _sidecars(path, probe, stems)
        except (NoAnswer, OSError):
            continue  # which other files share them is not known now
        for sidecar in sidecars:
            (found.ours if _is_ours(library, writer, roots, sidecar) else found.others).append(sidecar)
    return found


def remove(
    library: Library, writer: MetadataWriter, probe: FilesystemProbe, sidecars: list[str], now: float
) -> Iterator[tuple[str, str]]:
    """Remove sidecars that are maclip's alone; yield each with the reason why it stays, empty when it went.

    Their journal entries end as writes that never were: a photo that comes back is rated again.
    """
    roots = OnlineRoots(library, probe)
    for sidecar in sidecars:
        try:
            reason = _remove(library, writer, roots, sidecar, now)
        except MaclipError as error:
            reason = str(error)
        yield sidecar, reason


def _is_deleted(path: str, roots: OnlineRoots) -> bool:
    """Return whether a photo is gone, and not only its disk offline."""
    if roots.reason_offline_at(path) is not None:
        return False
    return roots.probe.call_or(path, functools.partial(_is_gone_from_its_folder, path), default=False)


def _is_gone_from_its_folder(path: str) -> bool:
    return Path(path).parent.is_dir() and file_stability.is_gone(path)


def _sidecars(path: str, probe: FilesystemProbe, stems: dict[str, set[str]]) -> list[str]:
    """Return the sidecars of a photo that are there, without those that another file shares.

    Raises `NoAnswer`, `OSError` where its folder cannot be listed.
    """
    found = []
    folder = os.path.dirname(path)  # noqa: PTH120 - the bytes of the name as they are
    for sidecar in rating_targets(path)[1:]:
        if not probe.call_or(sidecar, functools.partial(os.path.lexists, sidecar), default=False):
            continue
        if folder not in stems:
            stems[folder] = probe.call(folder, functools.partial(_stems, folder))
        is_shared = os.path.splitext(os.path.basename(sidecar))[0] in stems[folder]  # noqa: PTH119, PTH122
        if not is_shared:
            found.append(sidecar)
    return found


def _stems(folder: str) -> set[str]:
    """Return what the sidecars of the files in a folder may be called, without `.xmp`."""
    names = [name for name in os.listdir(folder) if not sidecar_names.is_sidecar(name)]  # noqa: PTH208
    return {*names, *(os.path.splitext(name)[0] for name in names)}  # noqa: PTH122


def _chain(library: Library, sidecar: str) -> list[JournalRow]:
    with library.reading() as session:
        return rating_journal.undo_chain(session, sidecar)


def _entries(chain: list[JournalRow], roots: OnlineRoots, sidecar: str) -> list[UndoEntry]:
    """Return the journal's entries; for a file that it does not know, one that takes out what is ours."""
    if chain:
        return [roots.entry_now(entry, chain) for entry in journal_compaction.reduced(chain)]
    return [UndoEntry(Path(sidecar), None, "", UndoDelta.taking_out().encode())]


def _is_ours(library: Library, writer: MetadataWriter, roots: OnlineRoots, sidecar: str) -> bool:
    """Return whether undo would leave nothing of a sidecar."""
    try:
        outcomes = writer.preview_undo(_entries(_chain(library, sidecar), roots, sidecar))
    except MaclipError:
        return False
    last = outcomes[-1]
    return isinstance(last, UndoOutcome) and last.status == "removed"


def _remove(library: Library, writer: MetadataWriter, roots: OnlineRoots, sidecar: str, now: float) -> str:
    if not _is_ours(library, writer, roots, sidecar):
        return f"{sidecar} was changed meanwhile; it stays."
    chain = _chain(library, sidecar)
    for entry in _entries(chain, roots, sidecar):
        outcome = writer.undo(entry)
        if outcome.status == "removed":
            break
        if outcome.status == "changed":
            return outcome.reason
    with library.writing() as session:
        rating_journal.forget_writes(session, [entry.id for entry in chain], now)
    return ""
