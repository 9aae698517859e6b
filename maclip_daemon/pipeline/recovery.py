"""What a killed run left behind: leases, journal entries in doubt, temporary files."""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Iterable
from pathlib import Path

from maclip_daemon.errors import MaclipError
from maclip_daemon.files import temporaries
from maclip_daemon.files.safe_writer import digest_of
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.library.queue import leases
from maclip_daemon.library.results import rating_journal
from maclip_daemon.library.storage.database import Library, Session
from maclip_daemon.photos import spool
from maclip_daemon.pipeline.run_state import log


def recover(library: Library, probe: FilesystemProbe, spool_folder: Path, now: float) -> None:
    """Mend what the last run left. Only for the one daemon of a data folder, before it starts work."""
    spool.clean(spool_folder)
    with library.reading() as session:
        folders = {Path(path).parent for path in leases.held_paths(session, "rate")}
    doubtful = settle_doubtful(library, probe, now)
    remove_strays(probe, folders | {place.parent for place in doubtful}, now)
    with library.writing() as session:
        released = leases.release_all(session, None, now)
    if released or doubtful:
        log.info("recovered", jobs_taken_back=released, journal_entries_settled=len(doubtful))


def settle_doubtful(
    library: Library, probe: FilesystemProbe, now: float, photo_ids: Collection[int] | None = None
) -> list[Path]:
    """Confirm or abandon the journal entries (of these photos) of which nobody knows; the files they name.

    A program died between the two halves of a write, or a server that was asked for it stopped to answer.
    Without this, what we wrote there would count as a person's.
    """
    with library.reading() as session:
        doubtful = [
            row
            for row in rating_journal.unconfirmed(session)
            if photo_ids is None or row.photo_id in photo_ids
        ]
    places = {row.id: _place_of(row, probe) for row in doubtful}
    written = {row.id: was_written(probe, places[row.id], row.after_hash) for row in doubtful}
    if doubtful:
        with library.writing() as session:
            for row in doubtful:
                settle(session, row.id, written[row.id], now)
    return list(places.values())


def remove_strays(probe: FilesystemProbe, folders: Iterable[Path], now: float) -> None:
    """Remove what a lost metadata process left in these folders before `now`, where they answer."""
    for folder in folders:
        question = functools.partial(temporaries.remove_strays, folder, older_than=now)
        removed: list[Path] = probe.ask_or(str(folder), question, [])
        for stray in removed:
            log.info("removed a temporary file of a killed run", file=str(stray))


def place_of(row: rating_journal.JournalRow) -> Path:
    """Where a journalled file is: beside its photo, or where it was, if the photo was renamed without it."""
    if row.origin_path is not None and not os.path.lexists(row.target_path):
        return Path(row.origin_path)
    return Path(row.target_path)


def _place_of(row: rating_journal.JournalRow, probe: FilesystemProbe) -> Path:
    return probe.ask_or(row.target_path, lambda: place_of(row), Path(row.target_path))


def was_written(probe: FilesystemProbe, target: Path, after_hash: str) -> bool | None:
    """Whether a file was replaced as its journal entry says; None: its disk is away, nobody can tell."""
    try:
        present, has_folder = probe.ask(str(target), lambda: (digest_of(target), target.parent.is_dir()))
    except (OSError, MaclipError):
        return None
    return present == after_hash if present is not None or has_folder else None


def settle(session: Session, entry_id: int, is_written: bool | None, now: float) -> None:
    """Confirm or abandon a journal entry; None leaves it in doubt, for the next time."""
    if is_written:
        rating_journal.confirm(session, entry_id, now)
    elif is_written is not None:
        rating_journal.abandon(session, entry_id, now)
