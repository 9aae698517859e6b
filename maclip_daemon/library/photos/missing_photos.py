"""Photos whose files are gone: they keep their scores and journal until `maclip purge`."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from sqlalchemy import ColumnElement, and_, delete, exists, func, select, update
from sqlalchemy.orm import Session

from maclip_daemon.library.photos import burst_frames
from maclip_daemon.library.queue import jobs
from maclip_daemon.library.storage import stored_paths, timestamps
from maclip_daemon.library.storage.photo_paths import find_photo, ids_at
from maclip_daemon.library.storage.tables import (
    FOLDERS,
    JOBS,
    PAIRS,
    PHOTOS,
    SCORES,
)

BATCH = 5000  # SQLite takes 32 766 values a statement


def mark_missing(session: Session, photo_ids: Iterable[int], now: float) -> int:
    """Mark photos as missing; return how many were not missing before.

    Scores and journal stay. Jobs are removed, except dead ones: `record_file` reports when a score is needed
    again, and `rating_queue.enqueue` asks for the ratings of those that come back. Photos that waited for a
    score, or failed, lose their old scores: these may be of earlier content, and without the job nothing
    else would show it.
    """
    count = 0
    remaining = iter(photo_ids)
    while part := list(islice(remaining, BATCH)):
        doubtful = select(PHOTOS.c.id).where(PHOTOS.c.id.in_(part), PHOTOS.c.state.in_(("waiting", "failed")))
        session.execute(delete(SCORES).where(SCORES.c.photo_id.in_(doubtful)))
        gone = session.execute(
            update(PHOTOS)
            .where(PHOTOS.c.id.in_(part), PHOTOS.c.state != "missing")
            .values(state="missing", missing_since=timestamps.text(now))
            .returning(PHOTOS.c.id)
        )
        left = gone.scalars().all()
        burst_frames.mark_stale(session, left)
        count += len(left)
        lost = and_(JOBS.c.photo_id.in_(part), JOBS.c.state != "dead")
        ratings = select(JOBS.c.photo_id).where(lost, JOBS.c.kind == "rate")
        session.execute(update(PHOTOS).where(PHOTOS.c.id.in_(ratings)).values(is_rating_due=True))
        session.execute(delete(JOBS).where(lost))
    return count


def count_missing(session: Session, under: str | None = None) -> int:
    """Count the missing photos (below `under`), before `purge_missing` is confirmed."""
    return int(session.execute(select(func.count()).select_from(PHOTOS).where(_missing(under))).scalar_one())


def is_missing(session: Session, path: str) -> bool:
    """Return whether the library knows a photo at this path, and that it is missing."""
    photo_id = find_photo(session, path)
    found = select(PHOTOS.c.state).where(PHOTOS.c.id == photo_id)
    return photo_id is not None and session.execute(found).scalar() == "missing"


def missing_paths(session: Session, under: str | None = None) -> list[str]:
    """Return the paths of the missing photos (below `under`), in path order."""
    rows = session.execute(
        select(FOLDERS.c.path, PHOTOS.c.file_name)
        .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
        .where(_missing(under))
    )
    return sorted(stored_paths.join(folder, name) for folder, name in rows)


def purge_missing(session: Session, now: float, under: str | None = None) -> int:
    """Delete the missing photos (below `under`) and their scores; return their number. The journal stays.

    The JPEG of a deleted RAW counts for itself again, so its rating is queued.
    """
    jpegs = select(PAIRS.c.photo_id).join(PHOTOS, PHOTOS.c.id == PAIRS.c.raw_id).where(_missing(under))
    jobs.enqueue(session, session.execute(jpegs).scalars().all(), "rate", now)
    burst_frames.forget(session, session.execute(select(PHOTOS.c.id).where(_missing(under))).scalars().all())
    gone = session.execute(delete(PHOTOS).where(_missing(under)).returning(PHOTOS.c.id)).all()
    session.execute(delete(FOLDERS).where(~exists().where(PHOTOS.c.folder_id == FOLDERS.c.id)))
    return len(gone)


def _missing(under: str | None) -> ColumnElement[bool]:
    missing = PHOTOS.c.state == "missing"
    return missing if under is None else and_(missing, PHOTOS.c.id.in_(ids_at(under)))
