"""The photos whose stars are due to be written, or looked at."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import CursorResult, text, update
from sqlalchemy.orm import Session

from maclip_daemon.library.storage import timestamps
from maclip_daemon.library.storage.tables import PHOTOS


def enqueue(session: Session, now: float, *, again: bool = False) -> int:
    """Ask for a rating of every photo whose stars differ from what we last wrote; how many.

    The current calibration of the active scoring configuration decides. A person's ratings and undone
    ratings are left out; `again` (`maclip rate`) takes the undone ones back in.
    """
    if again:
        undone = PHOTOS.c.rating_undone_at.is_not(None)
        session.execute(update(PHOTOS).where(undone).values(rating_undone_at=None))
    added = session.execute(_ENQUEUE_TO_RATE, {"now": timestamps.text(now)})
    return cast("CursorResult[Any]", added).rowcount


def enqueue_rated(session: Session, now: float) -> int:
    """Ask for a look at every photo that we rated, for what stands in its file beside the stars; how many."""
    return len(session.execute(_ENQUEUE_RATED, {"now": timestamps.text(now)}).all())


_ENQUEUE_RATED = text(
    "INSERT INTO jobs (photo_id, kind, not_before, changed_at) SELECT id, 'rate', :now, :now FROM photos"
    " WHERE rating_owner = 'maclip' AND state = 'scored' AND rating_undone_at IS NULL"
    " ON CONFLICT (photo_id, kind) DO NOTHING RETURNING id"
)

# NOT INDEXED: all are looked at, and the table as it lies is read ten times faster than in index order.
_TO_RATE = (
    " FROM scores s NOT INDEXED JOIN photos p ON p.id = s.photo_id"
    " JOIN calibrations c ON c.id = (SELECT id FROM calibrations WHERE scoring_config_id ="
    " (SELECT id FROM scoring_configs WHERE active = 1) ORDER BY number DESC LIMIT 1)"
    " LEFT JOIN photo_pairs pair ON pair.photo_id = p.id"
    " LEFT JOIN scores raw ON raw.photo_id = pair.raw_id AND raw.scoring_config_id = s.scoring_config_id"
    " WHERE s.scoring_config_id = c.scoring_config_id AND p.state = 'scored' AND p.rating_owner <> 'person'"
    " AND p.stars_written IS NOT 1 + (coalesce(raw.score, s.score) >= c.two_stars_from)"
    " + (coalesce(raw.score, s.score) >= c.three_stars_from)"
    " + (coalesce(raw.score, s.score) >= c.four_stars_from)"
    " + (coalesce(raw.score, s.score) >= c.five_stars_from)"
)
_ENQUEUE_TO_RATE = text(
    "INSERT INTO jobs (photo_id, kind, not_before, changed_at) SELECT p.id, 'rate', :now, :now"
    f"{_TO_RATE} AND p.rating_undone_at IS NULL"
    " ON CONFLICT (photo_id, kind) DO UPDATE SET generation = generation + 1, reason = NULL,"
    " attempts = iif(state = 'leased', attempts, 0), state = iif(state = 'leased', 'leased', 'ready'),"
    " not_before = excluded.not_before, changed_at = excluded.changed_at"
)
