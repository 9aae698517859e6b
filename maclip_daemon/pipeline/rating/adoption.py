"""Ratings that prove to be maclip's, and that this library's journal has not: taken over, or left alone.

Another library whose stars replaced ours is in use too. Its stars are left alone: two libraries that watch
one folder would rewrite each other's files without end.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maclip_daemon.errors import MaclipError
from maclip_daemon.files.safe_writer import digest_of
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.library.results import journal_adoption
from maclip_daemon.library.results.journal_adoption import FoundWrite
from maclip_daemon.library.storage.database import Library, Session
from maclip_daemon.library.storage.library_identity import LibraryIds, library_ids
from maclip_daemon.metadata.records import FoundRating
from maclip_daemon.metadata.writing.undo_delta import UndoDelta


@dataclass(frozen=True)
class RatedFile:
    """A photo, and the rating that was found for it."""

    photo_id: int
    photo: Path
    found: FoundRating


@dataclass(frozen=True)
class Adoptable:
    """A rating of maclip's that was found in a file."""

    write: FoundWrite
    is_contested: bool
    """Whether another library put it over one of ours."""


def examine(library: Library, probe: FilesystemProbe, files: Sequence[RatedFile]) -> dict[int, Adoptable]:
    """Return the ratings with a proof that this journal has not, by photo id.

    A photo that cannot be read now is left out; a later check finds it.
    """
    proven = [each for each in files if each.found.proof is not None and each.found.owner == "maclip"]
    if not proven:
        return {}
    with library.reading() as session:
        ids = library_ids(session)
        known = journal_adoption.written_hashes(session, [str(each.found.source) for each in proven])
    adoptable = {}
    for each in proven:
        hashes = known.get(str(each.found.source), set())
        if (write := _found_write(each, hashes, ids, probe)) is not None:
            is_contested = bool(hashes) and ids.is_other(write.library_id)
            adoptable[each.photo_id] = Adoptable(write, is_contested)
    return adoptable


def take(session: Session, adoptable: Adoptable, now: float) -> bool:
    """Take a rating into the journal, inside a transaction; return whether it was another library's."""
    write = adoptable.write
    outcome = journal_adoption.adopt(session, write, now)
    journal_adoption.record_owner(session, write.photo_id, write.stars)
    return outcome == "adopted" and library_ids(session).is_other(write.library_id)


def _found_write(
    file: RatedFile, known: set[str], ids: LibraryIds, probe: FilesystemProbe
) -> FoundWrite | None:
    """Return the write that a file proves; None when the journal has it, or the file cannot be read."""
    found, proof = file.found, file.found.proof
    assert proof is not None
    content = found.source_hash
    if content is None:  # the photo itself: read only where its entry may be missing
        if known and not ids.is_other(proof.library_id):
            return None
        content = _digest(found.source, probe)
    if content is None or content in known:
        return None
    return FoundWrite(
        photo_id=file.photo_id,
        target_path=str(found.source),
        kind="embed" if found.source == file.photo else "sidecar",
        content_hash=content,
        stars=proof.rating,
        restore=UndoDelta.taking_out().encode(),
        library_id=proof.library_id,
    )


def _digest(path: Path, probe: FilesystemProbe) -> str | None:
    try:
        return probe.call(str(path), functools.partial(digest_of, path))
    except (OSError, MaclipError):
        return None
