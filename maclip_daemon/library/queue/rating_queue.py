"""Photos whose stars must be written, or whose rating files must be checked."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import CursorResult, and_, func, or_, select, text, update
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.orm import Session

from maclip_daemon.library.queue import jobs, rating_holds
from maclip_daemon.library.queue.jobs import or_ask_again
from maclip_daemon.library.storage import stored_paths, timestamps
from maclip_daemon.library.storage.photo_paths import ids_at
from maclip_daemon.library.storage.sql_views import RAW_AND_CALIBRATION, STARS
from maclip_daemon.library.storage.tables import FOLDERS, JOBS, PHOTOS


def enqueue_new(session: Session, now: float) -> int:
    """Queue photos whose stars differ and that no other model scored before; return their number."""
    queued = session.execute(_ENQUEUE_NEW, {"now": timestamps.text(now)})
    return cast("CursorResult[Any]", queued).rowcount


def enqueue(session: Session, now: float, *, again: bool = False) -> int:
    """Queue every photo whose stars differ from those last written; return the number of jobs.

    The current calibration of the active scoring configuration decides. A person's ratings and undone
    ratings are left out; `again` (`maclip rate`) takes the undone ones back in. With them come the photos
    that were away when their files were to be looked at, and are back.
    """
    if again:
        rating_holds.end_all(session, now)
    queued = session.execute(_ENQUEUE_CHANGED, {"now": timestamps.text(now)})
    returned = session.execute(_ENQUEUE_RETURNED, {"now": timestamps.text(now)}).all()
    session.execute(_NOT_DUE)
    return cast("CursorResult[Any]", queued).rowcount + len(returned)


def enqueue_rated(session: Session, now: float, among: Collection[int] | None = None) -> int:
    """Queue every photo that maclip rated (of these), to check what stands beside its stars.

    Return the number of jobs. Those that are away follow when they are back.
    """
    values = {"now": timestamps.text(now)}
    if among is None:
        session.execute(_RATED_IS_DUE)
        return len(session.execute(_ENQUEUE_RATED, values).all())
    chosen = values | {"photo_ids": json.dumps(sorted(among))}  # any number of them
    session.execute(_RATED_AMONG_IS_DUE, chosen)
    return len(session.execute(_ENQUEUE_RATED_AMONG, chosen).all())


def enqueue_written(session: Session, now: float) -> int:
    """Queue every photo beside or in which maclip wrote, to bring that up to date; return how many.

    Those that are away follow when they are back.
    """
    session.execute(_WRITTEN_IS_DUE)
    return len(session.execute(_ENQUEUE_WRITTEN, {"now": timestamps.text(now)}).all())


@dataclass(frozen=True)
class ReplaceablePhoto:
    """A photo whose only rating may be darktable's own."""

    photo_id: int
    path: str
    stars_written: int | None
    is_only_in_darktable: bool
    """Whether the rating is in darktable's library, and in no file."""


def replaceable(
    session: Session, ratings: Collection[int], problem: str, under: Sequence[str] = ()
) -> list[ReplaceablePhoto]:
    """Return scored photos with one of these ratings that maclip did not write, or with this problem.

    `under`: only photos at or below these paths. In the order of their paths.
    """
    chosen = (
        select(
            PHOTOS.c.id, FOLDERS.c.path, PHOTOS.c.file_name, PHOTOS.c.stars_written, PHOTOS.c.rating_problem
        )
        .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
        .where(
            PHOTOS.c.state == "scored",
            PHOTOS.c.rating_owner != "maclip",
            or_(PHOTOS.c.rating_in_file.in_(ratings), PHOTOS.c.rating_problem == problem),
        )
        .order_by(FOLDERS.c.path, PHOTOS.c.file_name)
    )
    if under:
        chosen = chosen.where(or_(*(PHOTOS.c.id.in_(ids_at(path)) for path in under)))
    return [
        ReplaceablePhoto(row[0], stored_paths.join(row[1], row[2]), row[3], row[4] == problem)
        for row in session.execute(chosen)
    ]


def without_stars(session: Session, under: Sequence[str]) -> list[tuple[int, str]]:
    """Return id and path of the photos (below `under`, or all) from which a person took the stars away.

    Those whose stars were undone are among them.
    """
    chosen = (
        select(PHOTOS.c.id, FOLDERS.c.path, PHOTOS.c.file_name)
        .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
        .where(
            PHOTOS.c.state == "scored",
            or_(
                and_(PHOTOS.c.rating_owner == "person", func.coalesce(PHOTOS.c.rating_in_file, 0) == 0),
                PHOTOS.c.rating_undone_at.is_not(None),
            ),
        )
        .order_by(FOLDERS.c.path, PHOTOS.c.file_name)
    )
    if under:
        chosen = chosen.where(or_(*(PHOTOS.c.id.in_(ids_at(path)) for path in under)))
    return [(row.id, stored_paths.join(row.path, row.file_name)) for row in session.execute(chosen)]


def allow_replacing(session: Session, photo_ids: Sequence[int], which: str, now: float) -> None:
    """Queue photos whose rating a person lets maclip replace: `which`, as `photos.may_replace` has it."""
    for photo_id in photo_ids:
        allowed = {"may_replace": which, "rating_undone_at": None, "rating_problem": None}
        session.execute(update(PHOTOS).where(PHOTOS.c.id == photo_id).values(**allowed))
    jobs.enqueue(session, photo_ids, "rate", now)


_COLUMNS = ("photo_id", "kind", "not_before", "changed_at")
_ENQUEUE_IF = (
    f"INSERT INTO jobs ({', '.join(_COLUMNS)}) SELECT id, 'rate', :now, :now FROM photos"
    " WHERE {which} AND state = 'scored' AND rating_undone_at IS NULL"
    " ON CONFLICT (photo_id, kind) DO NOTHING RETURNING id"
)
_IS_DUE_IF = "UPDATE photos SET is_rating_due = 1 WHERE {which} AND state = 'missing' AND is_rating_due = 0"
_RATED = "rating_owner = 'maclip'"
_RATED_AMONG = f"{_RATED} AND id IN (SELECT value FROM json_each(:photo_ids))"
_WRITTEN = "id IN (SELECT photo_id FROM rating_journal WHERE state = 'written')"
_ENQUEUE_RATED, _RATED_IS_DUE = (text(each.format(which=_RATED)) for each in (_ENQUEUE_IF, _IS_DUE_IF))
_ENQUEUE_RATED_AMONG, _RATED_AMONG_IS_DUE = (
    text(each.format(which=_RATED_AMONG)) for each in (_ENQUEUE_IF, _IS_DUE_IF)
)
_ENQUEUE_WRITTEN, _WRITTEN_IS_DUE = (text(each.format(which=_WRITTEN)) for each in (_ENQUEUE_IF, _IS_DUE_IF))
_ENQUEUE_RETURNED = text(
    f"INSERT INTO jobs ({', '.join(_COLUMNS)}) SELECT id, 'rate', :now, :now FROM photos"
    " WHERE is_rating_due = 1 AND state = 'scored' ON CONFLICT (photo_id, kind) DO NOTHING RETURNING id"
)
# A photo that is to be scored again is rated then.
_NOT_DUE = text("UPDATE photos SET is_rating_due = 0 WHERE is_rating_due = 1 AND state <> 'missing'")
# NOT INDEXED: every score is read, in the table's own order ten times faster than in that of an index.
_CHANGED = (
    f"SELECT p.id AS photo_id, 'rate' AS kind, :now AS not_before, :now AS changed_at"
    f" FROM scores s NOT INDEXED JOIN photos p ON p.id = s.photo_id {RAW_AND_CALIBRATION}"
    " WHERE s.scoring_config_id = c.scoring_config_id AND p.state = 'scored' AND p.rating_owner <> 'person'"
    f" AND p.stars_written IS NOT {STARS} AND p.rating_undone_at IS NULL"
)
_NEVER_SCORED_BEFORE = (
    " AND NOT EXISTS (SELECT 1 FROM scores former WHERE former.photo_id = s.photo_id"
    " AND former.scoring_config_id <> s.scoring_config_id)"
)


def _insert_of(selection: str) -> Insert:
    columns = text(selection).columns(*(JOBS.c[name] for name in _COLUMNS))
    return or_ask_again(insert(JOBS).from_select(_COLUMNS, columns, include_defaults=False))


_ENQUEUE_CHANGED = _insert_of(_CHANGED)
_ENQUEUE_NEW = _insert_of(f"{_CHANGED}{_NEVER_SCORED_BEFORE}")
