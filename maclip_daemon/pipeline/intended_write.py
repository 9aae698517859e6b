"""The journal entry of a prepared file, written before the file is replaced: undo finds its way back."""

from __future__ import annotations

from maclip_daemon.library.results import rating_journal
from maclip_daemon.library.storage.database import Session
from maclip_daemon.metadata.records import Prepared


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
