"""What a killed run left behind: leases, journal entries in doubt, temporary files."""

from __future__ import annotations

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
    folders |= {Path(row.target_path).parent for row in doubtful}
    for folder in folders:
        for stray in temporaries.remove_strays(folder, older_than=now):
            log.info("removed a temporary file of a killed run", file=str(stray))
    with library.writing() as session:
        for row in doubtful:
            settle(session, row.id, Path(row.target_path), row.after_hash, now)
        released = leases.release_all(session, None, now)
    if released or doubtful:
        log.info("recovered", jobs_taken_back=released, journal_entries_settled=len(doubtful))


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
