"""Photos that `maclip undo` holds: nothing is written for them until `maclip rate`.

A hold comes before the first file is touched. Ratings that wait in the queue, or that a daemon has prepared,
would otherwise be written again behind undo's back.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, true, update
from sqlalchemy.orm import Session

from maclip_daemon.library.results import hold_order
from maclip_daemon.library.results.rating_journal import is_at, is_open
from maclip_daemon.library.storage import stored_paths
from maclip_daemon.library.storage.photo_paths import ids_at, known_in_folder
from maclip_daemon.library.storage.tables import JOBS, JOURNAL, PHOTOS

SIDECAR_SUFFIX = ".xmp"


def hold(session: Session, under: Sequence[str], now: float) -> int:
    """Hold the photos at or below these paths (none: all), and cancel their rate jobs.

    A path may be a sidecar, too. Photos that a person rated are held only where maclip wrote to their files.
    Return how many of the held photos have no stars of maclip's yet.
    """
    is_chosen = are_at(session, under)
    has_writes = select(JOURNAL.c.id).where(JOURNAL.c.photo_id == PHOTOS.c.id, is_open()).exists()
    is_new = and_(
        is_chosen, PHOTOS.c.rating_undone_at.is_(None), or_(PHOTOS.c.rating_owner != "person", has_writes)
    )
    unrated = select(func.count()).select_from(PHOTOS).where(is_new, ~has_writes, PHOTOS.c.state != "missing")
    count = session.execute(unrated).scalar_one()
    moment = hold_order.undo_moment(session, now)
    session.execute(update(PHOTOS).where(is_new).values(rating_undone_at=moment))
    held_photos = select(PHOTOS.c.id).where(is_chosen, PHOTOS.c.rating_undone_at.is_not(None))
    session.execute(delete(JOBS).where(JOBS.c.kind == "rate", JOBS.c.photo_id.in_(held_photos)))
    # The journal alone tells of a photo that is purged later; `end_all` may have come in between.
    undone_before = and_(JOURNAL.c.state == "undone", JOURNAL.c.photo_id.in_(held_photos))
    session.execute(update(JOURNAL).where(undone_before).values(settled_at=moment))
    return int(count)


def held(session: Session, photo_ids: Sequence[int]) -> set[int]:
    """Return which of these photos are held: nothing may be written for them."""
    found = session.execute(
        select(PHOTOS.c.id).where(PHOTOS.c.id.in_(photo_ids), PHOTOS.c.rating_undone_at.is_not(None))
    )
    return {photo_id for (photo_id,) in found}


def end_all(session: Session, now: float) -> None:
    """End every hold (`maclip rate`), and remember when: of purged photos only the journal tells of undo."""
    hold_order.note_end(session, now)
    held_photos = PHOTOS.c.rating_undone_at.is_not(None)
    session.execute(update(PHOTOS).where(held_photos).values(rating_undone_at=None))


def are_at(session: Session, under: Sequence[str]) -> ColumnElement[bool]:
    """Return the condition for the photos that `hold` would hold at these paths (none: all)."""
    return or_(*(_is_at(session, path) for path in under)) if under else true()


def _is_at(session: Session, path: str) -> ColumnElement[bool]:
    """Return the condition for the photos at or below a path, and for those whose rating file it is."""
    written = select(JOURNAL.c.photo_id).where(is_open(), is_at(path))
    chosen = or_(PHOTOS.c.id.in_(ids_at(path)), PHOTOS.c.id.in_(written))
    if not path.lower().endswith(SIDECAR_SUFFIX):
        return chosen
    folder, name = stored_paths.split(path)
    base = name[: -len(SIDECAR_SUFFIX)]
    named = [
        photo.photo_id
        for photo_name, photo in known_in_folder(session, folder).items()
        if base in (photo_name, os.path.splitext(photo_name)[0])  # noqa: PTH122 - a name's bytes as they are
    ]
    return or_(chosen, PHOTOS.c.id.in_(named))
