"""Photos whose stars must be written, or whose rating files must be checked."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import CursorResult, text, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from maclip_daemon.library.queue.jobs import or_ask_again
from maclip_daemon.library.storage import timestamps
from maclip_daemon.library.storage.sql_views import RAW_AND_CALIBRATION, STARS
from maclip_daemon.library.storage.tables import JOBS, PHOTOS


def enqueue(session: Session, now: float, *, again: bool = False) -> int:
    """Queue every photo whose stars differ from those last written; return the number of jobs.

    The current calibration of the active scoring configuration decides. A person's ratings and undone
    ratings are left out; `again` (`maclip rate`) takes the undone ones back in.
    """
    if again:
        undone = PHOTOS.c.rating_undone_at.is_not(None)
        session.execute(update(PHOTOS).where(undone).values(rating_undone_at=None))
    queued = session.execute(_ENQUEUE_CHANGED, {"now": timestamps.text(now)})
    return cast("CursorResult[Any]", queued).rowcount


def enqueue_rated(session: Session, now: float) -> int:
    """Queue every photo that maclip rated, to check the tags beside its stars; return the number of jobs."""
    return len(session.execute(_ENQUEUE_RATED, {"now": timestamps.text(now)}).all())


_COLUMNS = ("photo_id", "kind", "not_before", "changed_at")
_ENQUEUE_RATED = text(
    f"INSERT INTO jobs ({', '.join(_COLUMNS)}) SELECT id, 'rate', :now, :now FROM photos"
    " WHERE rating_owner = 'maclip' AND state = 'scored' AND rating_undone_at IS NULL"
    " ON CONFLICT (photo_id, kind) DO NOTHING RETURNING id"
)
# NOT INDEXED: every score is read, in the table's own order ten times faster than in that of an index.
_CHANGED = text(
    f"SELECT p.id AS photo_id, 'rate' AS kind, :now AS not_before, :now AS changed_at"
    f" FROM scores s NOT INDEXED JOIN photos p ON p.id = s.photo_id {RAW_AND_CALIBRATION}"
    " WHERE s.scoring_config_id = c.scoring_config_id AND p.state = 'scored' AND p.rating_owner <> 'person'"
    f" AND p.stars_written IS NOT {STARS} AND p.rating_undone_at IS NULL"
)
_ENQUEUE_CHANGED = or_ask_again(
    insert(JOBS).from_select(
        _COLUMNS, _CHANGED.columns(*(JOBS.c[name] for name in _COLUMNS)), include_defaults=False
    )
)
