"""What a killed run left behind: leases, journal entries in doubt, temporary files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from maclip_daemon.errors import MaclipError
from maclip_daemon.library import leases, ratings
from maclip_daemon.library.database import Library, Session
from maclip_daemon.metadata import temporaries
from maclip_daemon.metadata.safe_writer import digest_of
from maclip_daemon.photos import spool
from maclip_daemon.pipeline.run_state import log


def recover(library: Library, spool_folder: Path, now: float) -> None:
    """Mend what the last run left. Only for the one daemon of a data folder, before it starts work."""
    spool.clean(spool_folder)
    with library.reading() as session:
        doubtful = ratings.unconfirmed(session)
        folders = {Path(path).parent for path in leases.held_paths(session, "rate")}
    folders |= {place_of(row).parent for row in doubtful}
    remove_strays(folders, now)
    with library.writing() as session:
        for row in doubtful:
            settle(session, row.id, place_of(row), row.after_hash, now)
        released = leases.release_all(session, None, now)
    if released or doubtful:
        log.info("recovered", jobs_taken_back=released, journal_entries_settled=len(doubtful))


def remove_strays(folders: Iterable[Path], now: float) -> None:
    """Remove what a lost metadata process left in these folders before `now`."""
    for folder in folders:
        for stray in temporaries.remove_strays(folder, older_than=now):
            log.info("removed a temporary file of a killed run", file=str(stray))


def place_of(row: ratings.JournalRow) -> Path:
    """Where a journalled file is: beside its photo, or where it was, if the photo was renamed without it."""
    if row.origin_path is not None and not os.path.lexists(row.target_path):
        return Path(row.origin_path)
    return Path(row.target_path)


def settle(session: Session, entry_id: int, target: Path, after_hash: str, now: float) -> None:
    """Confirm or abandon a journal entry by looking at its file: was it replaced, or not?

    A file that cannot be looked at (its disk is away) leaves the entry in doubt, for the next time.
    """
    try:
        present = digest_of(target)
    except (OSError, MaclipError):
        return
    if present is None and not target.parent.is_dir():
        return
    if present == after_hash:
        ratings.confirm(session, entry_id, now)
    else:
        ratings.abandon(session, entry_id, now)
