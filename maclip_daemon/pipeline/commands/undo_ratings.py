"""Undo: put every file that we changed back to its earlier bytes, newest change first."""

from __future__ import annotations

import functools
from collections import Counter
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
from maclip_daemon.pipeline import file_stability, known_roots
from maclip_daemon.pipeline.recovery import current_target

Outcome = Literal["restored", "removed", "already", "changed", "failed"]


@dataclass(frozen=True)
class UndoResult:
    """What became of one file."""

    path: Path
    outcome: Outcome
    reason: str = ""
    """Why it was left alone, for `changed` and `failed`."""

    @property
    def is_done(self) -> bool:
        """Return whether the file is now as it was before our first change."""
        return self.outcome in ("restored", "removed", "already")

    def sentence(self) -> str:
        """Return the file and why it was left alone, its path once."""
        return self.reason if str(self.path) in self.reason else f"{self.path}: {self.reason}"


def targets(library: Library, under: list[str] | None = None) -> list[str]:
    """Return the files that undo would change: all, or those at or below the given paths."""
    with library.reading() as session:
        if not under:
            return rating_journal.undo_targets(session)
        found = {target for path in under for target in rating_journal.undo_targets(session, path)}
    return sorted(found)


def undo(
    library: Library, writer: MetadataWriter, probe: FilesystemProbe, paths: list[str], now: float
) -> Iterator[UndoResult]:
    """Put the given files back one by one, and yield what became of each.

    A file that another program changed since our last write is left alone, with the reason. So is a file on
    an offline disk or a server that does not answer; it can be undone later.
    """
    roots = _KnownRoots(library, probe)
    for path in paths:
        yield _undo_file(library, writer, roots, path, now)


def summary(counts: Counter[Outcome]) -> str:
    """Return in one sentence how many files came to each outcome."""
    nouns: dict[Outcome, tuple[str, str]] = {
        "removed": ("sidecar", "removed"),
        "restored": ("file", "restored"),
        "already": ("file", "already as before"),
    }
    done = [
        f"{count} {noun}{'' if count == 1 else 's'} {verb}"
        for outcome, (noun, verb) in nouns.items()
        if (count := counts[outcome])
    ]
    parts = [", ".join(done)] if done else []
    if changed := counts["changed"]:
        were = "it was" if changed == 1 else "they were"
        parts.append(f"{changed} left alone, because {were} changed since (listed above)")
    if failed := counts["failed"]:
        parts.append(f"{failed} left alone for the reasons listed above")
    return "; ".join(parts) + "." if parts else "Nothing to undo."


def _undo_file(
    library: Library, writer: MetadataWriter, roots: _KnownRoots, path: str, now: float
) -> UndoResult:
    with library.reading() as session:
        chain = rating_journal.undo_chain(session, path)
    outcome: Outcome = "already"
    for entry in chain:
        try:
            roots.probe.ping(path)
            target = roots.probe.call(path, functools.partial(current_target, entry))
            result = writer.undo(UndoEntry(target, entry.before_hash, entry.after_hash, entry.restore))
            if result.status == "already":
                roots.require_online(path)
        except errors.MaclipError as error:
            return UndoResult(Path(path), "failed", str(error))
        if result.status == "changed":
            return UndoResult(Path(path), "changed", result.reason)
        was_embedded = entry.kind == "embed" and result.status == "restored"
        found = file_stability.find_file(roots.probe, path) if was_embedded else None
        with library.writing() as session:
            rating_journal.mark_undone(session, [entry.id], now)
            if found is not None and entry.photo_id is not None:
                # Our own write: discovery must not take it for a change.
                photo_records.record_rewrite(session, entry.photo_id, found)
        outcome = result.status
    return UndoResult(Path(path), outcome)


class _KnownRoots:
    """The watched folders, each checked once: a file is not gone while its root is offline."""

    def __init__(self, library: Library, probe: FilesystemProbe) -> None:
        self.probe = probe
        self._library = library
        with library.reading() as session:
            self._roots = library_roots.known_roots(session)
        self._reasons: dict[str, str] = {}

    def require_online(self, path: str) -> None:
        """Raise `RootOffline` when the file's root is offline and photos of it are known."""
        for root in self._roots:
            if root.photo_count and is_below(path, root.path):
                if root.path not in self._reasons:
                    self._reasons[root.path] = self._check(root)
                if self._reasons[root.path]:
                    raise errors.RootOffline(self._reasons[root.path])

    def _check(self, known: library_roots.KnownRoot) -> str:
        """Return why the root is offline; empty when it is not."""
        root = Root(known.path)
        facts = None if known.device is None else RootFacts(known.device)
        with self._library.reading() as session:
            sample = known_roots.sample_photos(session, known.path, known.device)
        health = self.probe.call_below(
            known.path, lambda: root_health.check(root, facts, known.photo_count, sample)
        )
        return health.reason
