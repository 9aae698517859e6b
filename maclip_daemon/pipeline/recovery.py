"""What a killed run left behind: leases, unconfirmed journal entries, temporary files."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Collection, Iterable
from pathlib import Path

from maclip_daemon.errors import MaclipError, NoAnswer
from maclip_daemon.files import exchange, exclusive_rename, temporaries
from maclip_daemon.files.safe_writer import digest_of
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.library.queue import leases
from maclip_daemon.library.results import journal_hashes, rating_journal
from maclip_daemon.library.storage import photo_paths
from maclip_daemon.library.storage.database import Library, Session
from maclip_daemon.library.storage.photo_paths import FileLocation
from maclip_daemon.photos import spool
from maclip_daemon.pipeline import disk_presence, journal_compaction
from maclip_daemon.pipeline.run_state import log


def recover(library: Library, probe: FilesystemProbe, spool_folder: Path, now: float) -> None:
    """Repair what the last run left. Call it only while holding the lock of the data folder."""
    spool.clean(spool_folder)
    with library.reading() as session:
        folders = {Path(path).parent for path in leases.held_paths(session, "rate")}
    settled = settle_unconfirmed(library, probe, now)
    remove_strays(probe, folders | {target.parent for target in settled}, now, now)
    with library.writing() as session:
        released = leases.release_all(session, None, now)
    if released or settled:
        log.info("the last run was interrupted; going on", jobs=released, writes_checked=len(settled))


def settle_unconfirmed(
    library: Library, probe: FilesystemProbe, now: float, photo_ids: Collection[int] | None = None
) -> list[Path]:
    """Confirm or abandon the unconfirmed journal entries (of these photos); return the files they name.

    A program died between the two halves of a write, or the file server stopped answering. Without this, our
    own stars would count as a person's.
    """
    with library.reading() as session:
        entries = [
            entry
            for entry in rating_journal.unconfirmed(session)
            if photo_ids is None or entry.photo_id in photo_ids
        ]
        photos = photo_paths.locations_of(
            session, [entry.photo_id for entry in entries if entry.photo_id is not None]
        )
    targets: list[Path] = []
    written: dict[int, bool | None] = {}
    for entry in entries:
        try:
            target = probe.call(entry.target_path, functools.partial(current_target, entry))
        except NoAnswer:
            written[entry.id] = None
            continue
        place = None if entry.photo_id is None else photos.get(entry.photo_id)
        targets.append(target)
        written[entry.id] = finish_interrupted(probe, target, entry.before_hash, entry.after_hash, now, place)
    if entries:
        with library.writing() as session:
            for entry in entries:
                settle(session, entry.id, written[entry.id], now)
    return targets


def remove_strays(probe: FilesystemProbe, folders: Iterable[Path], older_than: float, now: float) -> None:
    """Remove what a lost metadata process left in these folders; skip those that are offline.

    `older_than`: see `temporaries.remove_strays`.
    """
    for folder in folders:
        remove = functools.partial(temporaries.remove_strays, folder, older_than=older_than, now=now)
        removed: list[Path] = probe.call_or(str(folder), remove, [])
        for stray in removed:
            log.info("removed a temporary file of an interrupted run", file=str(stray))


def current_target(entry: rating_journal.JournalRow) -> Path:
    """Return where a journalled file is now: its photo may have been renamed without it."""
    if entry.origin_path is not None and not os.path.lexists(entry.target_path):
        return Path(entry.origin_path)
    return Path(entry.target_path)


def finish_interrupted(
    probe: FilesystemProbe,
    target: Path,
    before_hash: str | None,
    after_hash: str,
    now: float,
    photo: FileLocation | None = None,
) -> bool | None:
    """Return whether a file was replaced as its journal entry intended; None: not known yet.

    Not known while its disk is offline: `photo` tells of which one that is. An empty file that only claimed
    the name is removed, and an edit of another program that the interrupted write had taken out is put back.
    """

    def finish() -> bool | None:
        if target.parent.is_dir():
            known = {hash_ for hash_ in (before_hash, after_hash) if hash_ is not None}
            _report(exchange.recover(target, known, now, is_dead=True))
        present = digest_of(target)
        if present == after_hash:
            return True
        if before_hash is None and not exclusive_rename.remove_claim(target, now):
            return None
        if present is None and photo is not None and not disk_presence.is_present(photo.path, photo.device):
            return None
        return False if present is not None or target.parent.is_dir() else None

    try:
        return probe.call(str(target), finish)
    except (OSError, MaclipError):
        return None


def put_back_edits(library: Library, probe: FilesystemProbe, folder: str, now: float) -> None:
    """Put back the edits that an interrupted write or undo left aside in this folder a minute ago or more."""
    with library.reading() as session:
        journalled = journal_hashes.hashes_beside(session, folder)

    def put_back() -> None:
        names = os.listdir(folder)  # noqa: PTH208 - undecodable names
        asides = [name for name in names if temporaries.is_aside(name)]
        for name in {*names, *journalled} - set(asides):
            if any(temporaries.is_aside_of(aside, name) for aside in asides):
                _report(exchange.recover(Path(folder, name), journalled.get(name, set()), now))

    with contextlib.suppress(OSError, MaclipError):
        probe.call(folder, put_back)


def _report(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        log.warning("an edit was put back", what=sentence)


def settle(session: Session, entry_id: int, is_written: bool | None, now: float) -> None:
    """Confirm or abandon a journal entry; None leaves it unconfirmed for the next run."""
    if is_written:
        journal_compaction.confirm(session, entry_id, now)
    elif is_written is not None:
        rating_journal.abandon(session, entry_id, now)
