"""The journal entry of a prepared file, written before the file is replaced: undo finds its way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from maclip_daemon.errors import MaclipError
from maclip_daemon.library.results import rating_journal
from maclip_daemon.library.storage.database import Session
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import Prepared

_Photo = TypeVar("_Photo")


def intend(
    session: Session,
    photo_id: int | None,
    prepared: Prepared,
    stars_written: int | None,
    now: float,
    pixel_hash: str | None = None,
) -> int:
    """Record what will be done to a file; return the entry's id.

    `stars_written`: maclip's stars in the file afterwards; None where the rating there is not maclip's.
    `pixel_hash`: that of a photo which the library does not know.
    """
    return rating_journal.intend(
        session,
        photo_id,
        str(prepared.undo_entry.target),
        "embed" if prepared.target == prepared.photo else "sidecar",
        before_hash=prepared.before_hash,
        after_hash=prepared.undo_entry.after_hash,
        restore=prepared.restore,
        stars_before=prepared.found.rating if prepared.found else None,
        stars_written=stars_written,
        now=now,
        pixel_hash=pixel_hash,
    )


def maclips_stars(prepared: Prepared) -> int | None:
    """Return the stars of maclip's that a prepared file holds; None where they are a person's."""
    return prepared.rating if prepared.owner == "maclip" else None


def commit_journalled(
    writer: MetadataWriter,
    prepared: Sequence[tuple[_Photo, Prepared]],
    intend_all: Callable[[list[tuple[_Photo, Prepared]]], Sequence[int | None]],
    settle_all: Callable[[list[tuple[_Photo, Prepared]], list[int], Sequence[MaclipError | None]], None],
) -> list[tuple[_Photo, Prepared, MaclipError | None]]:
    """Journal prepared files, replace them, and settle their entries; return each with its error.

    `intend_all` returns an entry for each; a file without one is discarded and left out. `settle_all` is
    called whenever files may have been replaced. Raises what these raise, and the error of a lost metadata
    process.
    """
    if not prepared:
        return []
    try:
        intended = intend_all(list(prepared))
    except MaclipError:
        for _, result in prepared:
            writer.discard(result)
        raise
    committed, entries = [], []
    for each, entry in zip(prepared, intended, strict=True):
        if entry is None:
            writer.discard(each[1])
        else:
            committed.append(each)
            entries.append(entry)
    if not committed:
        return []
    try:
        outcomes = writer.commit_many([result for _, result in committed])
    except MaclipError as lost:
        settle_all(committed, entries, [lost] * len(committed))
        raise
    settle_all(committed, entries, outcomes)
    return [(*each, error) for each, error in zip(committed, outcomes, strict=True)]
