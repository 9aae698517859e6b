"""Undo: every file that we changed goes back to its bytes of before, newest change first."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from maclip_daemon import errors
from maclip_daemon.files.paths import is_below
from maclip_daemon.folders import root_health
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.folders.root_health import Root, RootFacts
from maclip_daemon.library.photos import photo_records
from maclip_daemon.library.photos import root_records as library_roots
from maclip_daemon.library.results import rating_journal
from maclip_daemon.library.storage.database import Library
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import UndoEntry
from maclip_daemon.pipeline import file_stability, root_samples
from maclip_daemon.pipeline.rating.recovery import current_target


@dataclass(frozen=True)
class UndoResult:
    """What became of one file."""

    path: Path
    outcome: Literal["restored", "removed", "already", "changed", "failed"]
    reason: str = ""
    """Why it was left as it is, for `changed` and `failed`."""

    @property
    def is_done(self) -> bool:
        """Whether the file is now as it was before our first change."""
        return self.outcome in ("restored", "removed", "already")


def targets(library: Library, under: list[str] | None = None) -> list[str]:
    """The files that undo would touch: all, or those at or below the given paths."""
    with library.reading() as session:
        if not under:
            return rating_journal.undo_targets(session)
        found = {target for path in under for target in rating_journal.undo_targets(session, path)}
    return sorted(found)


def undo(
    library: Library, writer: MetadataWriter, probe: FilesystemProbe, paths: list[str], now: float
) -> Iterator[UndoResult]:
    """Put the given files back one by one, and yield what became of each.

    A file that somebody changed since our last write is left alone and said so; so is one whose disk is away,
    or whose server does not answer: its way back is kept.
    """
    away = _AwayRoots(library, probe)
    for path in paths:
        with library.reading() as session:
            chain = rating_journal.undo_chain(session, path)
        yield _undo_file(library, writer, probe, away, path, chain, now)


def _undo_file(
    library: Library,
    writer: MetadataWriter,
    probe: FilesystemProbe,
    away: _AwayRoots,
    path: str,
    chain: list[rating_journal.JournalRow],
    now: float,
) -> UndoResult:
    outcome: UndoResult = UndoResult(Path(path), "already")
    for row in chain:
        try:
            probe.ping(path)
            place = probe.call(path, functools.partial(current_target, row))
            result = writer.undo(UndoEntry(place, row.before_hash, row.after_hash, row.restore))
            if result.status == "already":
                away.refuse(path)
        except errors.MaclipError as error:
            return UndoResult(Path(path), "failed", str(error))
        if result.status == "changed":
            return UndoResult(Path(path), "changed", result.reason)
        was_embedded = row.kind == "embed" and result.status == "restored"
        found = file_stability.look(probe, path) if was_embedded else None
        with library.writing() as session:
            rating_journal.mark_undone(session, [row.id], now)
            if found is not None and row.photo_id is not None:
                photo_records.rewritten(
                    session, row.photo_id, found
                )  # our own doing: nobody is writing the photo
        outcome = UndoResult(Path(path), result.status)
    return outcome


class _AwayRoots:
    """Which watched folders are away: what is not to be seen there is not gone. Each is looked at once."""

    def __init__(self, library: Library, probe: FilesystemProbe) -> None:
        self._library = library
        self._probe = probe
        with library.reading() as session:
            self._roots = library_roots.known_roots(session)
        self._reasons: dict[str, str] = {}

    def refuse(self, path: str) -> None:
        """Raise `RootOffline` when the file's root is away and photos of it are known."""
        for root in self._roots:
            if root.photo_count and is_below(path, root.path):
                if root.path not in self._reasons:
                    self._reasons[root.path] = self._reason(root)
                if self._reasons[root.path]:
                    raise errors.RootOffline(self._reasons[root.path])

    def _reason(self, known: library_roots.KnownRoot) -> str:
        root = Root(known.path)
        facts = None if known.device is None else RootFacts(known.device)
        with self._library.reading() as session:
            sample = root_samples.sample(session, known.path, known.device)
        health = self._probe.call_below(
            known.path, lambda: root_health.check(root, facts, known.photo_count, sample)
        )
        return health.reason
