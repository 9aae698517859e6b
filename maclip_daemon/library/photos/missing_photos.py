"""Photos whose files are gone: remembered with all they have, until somebody purges them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from sqlalchemy import ColumnElement, and_, delete, exists, func, select, update
from sqlalchemy.orm import Session

from maclip_daemon.library.queue import jobs
from maclip_daemon.library.storage import timestamps
from maclip_daemon.library.storage.photo_paths import ids_at
from maclip_daemon.library.storage.tables import (
    FOLDERS,
    JOBS,
    PAIRS,
    PHOTOS,
    SCORES,
)


def mark_missing(session: Session, photo_ids: Iterable[int], now: float) -> int:
    """Remember that files are gone; how many were not missing yet.

    Scores and journal stay. Their jobs go, given-up ones excepted: `see` tells when one is needed again.
    What still waited for its score, or failed, loses the scores it had: they may be of former content, and
    once the job is gone (a given-up one after `retry_dead`) nothing else would tell.
    """
    count = 0
    for part in _parts(photo_ids):
        doubtful = select(PHOTOS.c.id).where(PHOTOS.c.id.in_(part), PHOTOS.c.state.in_(("waiting", "failed")))
        session.execute(delete(SCORES).where(SCORES.c.photo_id.in_(doubtful)))
        gone = session.execute(
            update(PHOTOS)
            .where(PHOTOS.c.id.in_(part), PHOTOS.c.state != "missing")
            .values(state="missing", missing_since=timestamps.text(now))
            .returning(PHOTOS.c.id)
        )
        count += len(gone.all())
        session.execute(delete(JOBS).where(JOBS.c.photo_id.in_(part), JOBS.c.state != "dead"))
    return count


def _parts(photo_ids: Iterable[int]) -> Iterator[list[int]]:
    """Cut into parts: SQLite takes 32 766 values a statement."""
    remaining = iter(photo_ids)
    while part := list(islice(remaining, 5000)):
        yield part


def count_missing(session: Session, under: str | None = None) -> int:
    """Count the missing photos (below `under`), before `purge_missing` is confirmed."""
    return int(session.execute(select(func.count()).select_from(PHOTOS).where(_missing(under))).scalar_one())


def purge_missing(session: Session, now: float, under: str | None = None) -> int:
    """Forget the missing photos (below `under`) with their scores; how many. The journal stays.

    The JPEG of a RAW that is forgotten stands for itself again: its stars get a look.
    """
    jpegs = select(PAIRS.c.photo_id).join(PHOTOS, PHOTOS.c.id == PAIRS.c.raw_id).where(_missing(under))
    jobs.enqueue_all(session, session.execute(jpegs).scalars().all(), "rate", now)
    gone = session.execute(delete(PHOTOS).where(_missing(under)).returning(PHOTOS.c.id)).all()
    session.execute(delete(FOLDERS).where(~exists().where(PHOTOS.c.folder_id == FOLDERS.c.id)))
    return len(gone)


def _missing(under: str | None) -> ColumnElement[bool]:
    missing = PHOTOS.c.state == "missing"
    return missing if under is None else and_(missing, PHOTOS.c.id.in_(ids_at(under)))
