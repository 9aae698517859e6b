"""The journal keeps two entries a file at most: its first bytes, and what maclip wrote last.

Stars that change again and again would otherwise make it grow without end, and undo slow. Successive writes
become one entry, whose restore data leads from the last bytes to the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from maclip_daemon.library.results import ended_entries, rating_journal
from maclip_daemon.library.results.rating_journal import JournalRow
from maclip_daemon.library.results.written_ratings import bit_of
from maclip_daemon.library.storage.database import Library, Session
from maclip_daemon.metadata.writing import undo_delta
from maclip_daemon.metadata.writing.undo_delta import UndoDelta

FILES_TOGETHER = 200  # in one transaction of `compact_all`


def confirm(session: Session, entry_id: int, now: float) -> None:
    """Confirm a write, and join it with the earlier ones to the same file."""
    target = rating_journal.confirm(session, entry_id, now)
    if target is not None:
        compact(session, target)


def compact(session: Session, target_path: str) -> None:
    """Join the writes to one file, and its entries that have ended."""
    chain = rating_journal.undo_chain(session, target_path)
    kept = reduced(chain)
    if len(kept) < len(chain):
        rating_journal.replace_chain(session, chain, kept)


def compact_all(library: Library, is_stopping: Callable[[], bool]) -> None:
    """Join the long chains that earlier versions left, some files at a time."""
    after: str | None = None
    while not is_stopping():
        with library.reading() as session:
            targets = ended_entries.files_with_several(session, after, FILES_TOGETHER)
        if not targets:
            return
        with library.writing() as session:
            for target in targets:
                compact(session, target)
                ended_entries.join_ended(session, target)
        after = targets[-1]


def reduced(chain: Sequence[JournalRow]) -> list[JournalRow]:
    """Return the fewest entries that undo a chain of writes to one file in the same way, newest first."""
    runs: list[JournalRow] = []
    for entry in chain:
        joined = _joined(entry, runs[-1]) if runs else None
        if joined is None:
            runs.append(entry)
        else:
            runs[-1] = joined
    return _ends(runs)


def _joined(older: JournalRow, newer: JournalRow) -> JournalRow | None:
    """Return one entry for two writes; None where another program wrote between them, or they differ."""
    if newer.before_hash is None or newer.before_hash != older.after_hash:
        return None
    if (newer.photo_id, newer.kind) != (older.photo_id, older.kind):
        return None
    if newer.origin_path not in (None, older.origin_path):
        return None
    try:
        restore = undo_delta.joined(UndoDelta.decode(older.restore), UndoDelta.decode(newer.restore))
    except (ValueError, KeyError, TypeError):  # damaged, or another library's: undo decides for each
        return None
    return replace(
        newer,
        before_hash=older.before_hash,
        restore=restore.encode(),
        stars_before=older.stars_before,
        former_stars=newer.former_stars | _stars_of(older),
    )


def _ends(runs: list[JournalRow]) -> list[JournalRow]:
    """Return the first and the last of the runs between which other programs wrote.

    Undo takes out what is maclip's where it finds another program's bytes; then the runs between have nothing
    left to restore. What was written before maclip made the file anew went with the earlier file.
    """
    if any(
        run.origin_path is not None or (run.photo_id, run.kind) != (runs[0].photo_id, runs[0].kind)
        for run in runs
    ):
        return runs
    made = next((index for index, run in enumerate(runs) if run.before_hash is None), len(runs) - 1)
    kept = runs[: made + 1]
    if len(kept) > 2 and kept[0].before_hash != kept[1].after_hash:
        kept = [kept[0], kept[-1]]
    if len(kept) == len(runs):
        return runs
    stars = kept[0].former_stars
    for run in runs:
        if run not in kept:
            stars |= _stars_of(run)
    return [replace(kept[0], former_stars=stars), *kept[1:]]


def _stars_of(entry: JournalRow) -> int:
    return entry.former_stars | bit_of(entry.stars_written)
