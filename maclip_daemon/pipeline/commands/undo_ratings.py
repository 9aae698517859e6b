"""Undo: put every file that we changed back to its earlier bytes, newest change first."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from maclip_daemon import errors
from maclip_daemon.files.paths import with_path
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.library.photos import photo_records
from maclip_daemon.library.queue import rating_holds
from maclip_daemon.library.results import decided_files, decisions, rating_journal
from maclip_daemon.library.storage.database import Library
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import UndoOutcome
from maclip_daemon.metadata.writing.undo_delta import UndoDelta
from maclip_daemon.pipeline import file_stability, journal_compaction, recovery
from maclip_daemon.pipeline.commands.online_roots import OnlineRoots

WRITES_TIMEOUT_S = 60.0  # a daemon writes 32 files together, the flush of a slow disk included
POLL_S = 0.1
BEING_WRITTEN = "The daemon is writing this file at present. Run `maclip undo` again."

Outcome = Literal["restored", "removed", "taken_out", "decided", "gone", "already", "changed", "failed"]


@dataclass(frozen=True)
class UndoResult:
    """What became of one file."""

    path: Path
    outcome: Outcome
    reason: str = ""
    """Why it was left alone, for `changed` and `failed`."""
    is_copied_into_photo: bool = False
    """Another program copied maclip's stars from this sidecar into its photo, where they stay."""

    @property
    def is_done(self) -> bool:
        """Return whether the file holds nothing of ours now."""
        return self.outcome not in ("changed", "failed")

    def sentence(self) -> str:
        """Return the file and why it was left alone, its path once."""
        return with_path(self.path, self.reason)


def hold(library: Library, under: Sequence[str], now: float, *, with_decisions: bool = False) -> int:
    """Hold the photos at or below these paths (none: all): nothing is written for them until `maclip rate`.

    Call it before `targets`. `with_decisions`: nor what a person decided, where it still waits. Return how
    many of the photos have no stars of maclip's yet.
    """
    with library.writing() as session:
        if with_decisions:
            decisions.end_waiting(session, rating_holds.are_at(session, under), now)
        return rating_holds.hold(session, under, now)


def await_writes(
    library: Library,
    under: Sequence[str],
    recover: Callable[[], bool],
    timeout_s: float = WRITES_TIMEOUT_S,
) -> None:
    """Wait until the writes that a daemon had begun before the hold are done.

    `recover`: called again and again; it settles what a killed daemon left, and returns whether it could.
    A daemon that hangs keeps its files: `undo` leaves them alone, with the reason.
    """
    deadline = time.monotonic() + timeout_s
    since = time.time() - timeout_s  # an older write waits for its disk, and may wait for long
    places: list[str | None] = [*under] if under else [None]
    while time.monotonic() < deadline:
        with library.reading() as session:
            if not any(rating_journal.is_being_written(session, since, path) for path in places):
                return
        if recover():
            return
        time.sleep(POLL_S)


def targets(library: Library, under: Sequence[str] | None = None) -> list[str]:
    """Return the files that undo would change: all, or those at or below the given paths."""
    with library.reading() as session:
        if not under:
            return rating_journal.undo_targets(session)
        found = {target for path in under for target in rating_journal.undo_targets(session, path)}
    return sorted(found)


def undo(
    library: Library,
    writer: MetadataWriter,
    probe: FilesystemProbe,
    paths: list[str],
    now: float,
    *,
    dry_run: bool = False,
    with_decisions: bool = False,
) -> Iterator[UndoResult]:
    """Put the given files back one by one, and yield what became of each; with `dry_run`, what would.

    A file that another program wrote since keeps all that is not ours, and one that a person decided about in
    the review page keeps the decision, unless `with_decisions`. A file on an offline disk or a server
    that does not answer is left alone, with the reason; it can be undone later. What a killed undo left
    beside the files a minute ago or more is tidied up before.
    """
    roots = OnlineRoots(library, probe)
    for folder in () if dry_run else sorted({os.path.dirname(path) for path in paths}):  # noqa: PTH120 - surrogates
        recovery.put_back_edits(library, probe, folder, now)
    with library.reading() as session:
        decided = set() if with_decisions else decided_files.with_decisions(session)
    for path in paths:
        with library.reading() as session:
            unfinished = rating_journal.unfinished_write(session, path)
        if unfinished is not None:
            reason = str(roots.reason_offline(unfinished) or BEING_WRITTEN)
            yield UndoResult(Path(path), "failed", reason)
            continue
        chain = _chain(library, path, dry_run=dry_run)
        if path in decided:
            chain = [replace(entry, restore=UndoDelta.taking_out().encode()) for entry in chain]
        outcomes = _previewed(writer, roots, chain) if dry_run else _carried_out(writer, roots, chain)
        steps = zip(chain, outcomes, strict=False)
        # Of a photo that moved without its sidecar, an older write made another file.
        has_one_file = all(entry.origin_path is None for entry in chain)
        undone = _undo_file(None if dry_run else library, roots, path, steps, now, has_one_file=has_one_file)
        is_decided = path in decided and undone.outcome == "taken_out"
        yield replace(undone, outcome="decided") if is_decided else undone


def _chain(library: Library, path: str, *, dry_run: bool) -> list[rating_journal.JournalRow]:
    """Return the writes to a file, as few as lead to the same bytes, newest first."""
    with library.reading() as session:
        chain = rating_journal.undo_chain(session, path)
    if len(chain) < 2:
        return chain
    if dry_run:
        return journal_compaction.reduced(chain)
    with library.writing() as session:
        journal_compaction.compact(session, path)
        return rating_journal.undo_chain(session, path)


def summary(counts: Counter[Outcome], *, dry_run: bool = False, unrated: int = 0) -> str:
    """Return in one sentence how many files came to each outcome, or would.

    `unrated`: held photos without stars of maclip's, which a second sentence counts.
    """
    sentence = _summary(counts, dry_run=dry_run)
    if not unrated:
        return sentence
    photos = "1 photo without stars gets" if unrated == 1 else f"{unrated} photos without stars get"
    return f"{sentence} {photos} none until `maclip rate`."


def _summary(counts: Counter[Outcome], *, dry_run: bool) -> str:
    parts = []
    for outcome, (one, many) in _DONE.items():
        if count := counts[outcome]:
            parts.append(f"1 {one}" if count == 1 else f"{count} {many}")
    done = [", ".join(parts)] if parts else []
    if left := counts["changed"] + counts["failed"]:
        done.append(f"{left} left alone for the reasons listed above")
    if not done:
        return "Nothing to undo."
    return ("This would be the result: " if dry_run else "") + "; ".join(done) + "."


def copies_left(copied: int) -> str:
    """Return what becomes of copies that other programs made of maclip's stars inside photos."""
    holds = "1 photo holds a copy" if copied == 1 else f"{copied} photos hold copies"
    return (
        f"{holds} of maclip's stars that another program wrote into the picture file. They stay, because "
        "maclip did not write them. To take them out: `maclip adopt`, then `maclip undo`."
    )


_DONE: dict[Outcome, tuple[str, str]] = {
    "removed": ("sidecar removed", "sidecars removed"),
    "restored": ("file restored", "files restored"),
    "taken_out": (
        "file that another program changed since keeps its changes, without maclip's stars",
        "files that other programs changed since keep their changes, without maclip's stars",
    ),
    "decided": (
        "file keeps what you decided, without maclip's stars",
        "files keep what you decided, without maclip's stars",
    ),
    "gone": ("sidecar had been deleted before", "sidecars had been deleted before"),
    "already": ("file already as before", "files already as before"),
}


def _carried_out(
    writer: MetadataWriter, roots: OnlineRoots, chain: list[rating_journal.JournalRow]
) -> Iterator[UndoOutcome | errors.MaclipError]:
    """Undo these writes to one file as the outcomes are asked for."""
    for entry in chain:
        try:
            outcome = writer.undo(roots.entry_now(entry, chain))
            roots.require_online_for(entry, outcome)
        except errors.MaclipError as error:
            yield roots.reason_offline(entry) or error
            return
        yield outcome


def _previewed(
    writer: MetadataWriter, roots: OnlineRoots, chain: list[rating_journal.JournalRow]
) -> Iterator[UndoOutcome | errors.MaclipError]:
    """Yield the outcomes that undo of these writes to one file would have."""
    try:
        entries = [roots.entry_now(entry, chain) for entry in chain]
        for entry, outcome in zip(chain, writer.preview_undo(entries), strict=False):
            if isinstance(outcome, UndoOutcome):
                roots.require_online_for(entry, outcome)
                yield outcome
            else:
                yield roots.reason_offline(entry) or outcome
    except errors.MaclipError as error:
        yield error


def _undo_file(
    library: Library | None,
    roots: OnlineRoots,
    path: str,
    steps: Iterable[tuple[rating_journal.JournalRow, UndoOutcome | errors.MaclipError]],
    now: float,
    *,
    has_one_file: bool,
) -> UndoResult:
    """Follow the steps of one file, newest write first; record them in the library, if one is given."""
    outcome: Outcome = "already"
    is_copied = False
    for entry, result in steps:
        if isinstance(result, errors.MaclipError):
            return UndoResult(Path(path), "failed", str(result))
        if result.status == "changed":
            return UndoResult(Path(path), "changed", result.reason)
        outcome = (
            result.status if result.status not in ("already", "gone") or outcome == "already" else outcome
        )
        is_copied = result.is_copied_into_photo
        # Nothing of an older write is left in the same file either.
        is_last = has_one_file and outcome in ("removed", "taken_out", "gone")
        if library is not None:
            _record(library, roots, path, entry, result, now, with_older=is_last)
        if is_last:
            break
    return UndoResult(Path(path), outcome, is_copied_into_photo=is_copied)


def _record(
    library: Library,
    roots: OnlineRoots,
    path: str,
    entry: rating_journal.JournalRow,
    result: UndoOutcome,
    now: float,
    *,
    with_older: bool,
) -> None:
    is_rewritten = entry.kind == "embed" and result.status in ("restored", "taken_out")
    found = file_stability.find_file(roots.probe, path) if is_rewritten else None
    with library.writing() as session:
        undone = rating_journal.undo_chain(session, path) if with_older else [entry]
        rating_journal.mark_undone(session, [each.id for each in undone if each.id <= entry.id], now)
        if entry.photo_id is None:
            return
        if result.persons_rating is not None:
            photo_records.set_rating(session, entry.photo_id, result.persons_rating, "person")
        if found is not None:
            # Our own write: discovery must not take it for a change.
            photo_records.record_rewrite(session, entry.photo_id, found)
