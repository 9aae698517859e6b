"""The ratings that maclip has written: what darktable may have read from a sidecar is no person's."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, case, or_, select
from sqlalchemy.orm import Session

from maclip_daemon.library.storage.tables import JOURNAL

RATINGS = range(-1, 6)


def bit_of(rating: int | None) -> int:
    """Return the bit of a rating in `former_stars`; 0 for none."""
    return 1 << rating + 1 if rating is not None and rating in RATINGS else 0


def ratings_of(bits: int) -> set[int]:
    """Return the ratings of `former_stars`."""
    return {rating for rating in RATINGS if bits & bit_of(rating)}


def ratings_written(session: Session, photo_ids: Sequence[int]) -> dict[int, set[int]]:
    """Return every rating that maclip wrote for these photos, undone ones included.

    With the ratings that it replaced: darktable's first star, because the person said so.
    """
    written: dict[int, set[int]] = {}
    for photo_id, stars, replaced, former in session.execute(
        _RATINGS_WRITTEN, {"photo_ids": list(photo_ids)}
    ):
        written.setdefault(photo_id, set()).update({stars, replaced} - {None}, ratings_of(former or 0))
    return written


_RATINGS_WRITTEN = (
    select(
        JOURNAL.c.photo_id,
        JOURNAL.c.stars_written,
        case((JOURNAL.c.state == "written", JOURNAL.c.stars_before)),
        JOURNAL.c.former_stars,
    )
    .where(
        JOURNAL.c.photo_id.in_(bindparam("photo_ids", expanding=True)),
        JOURNAL.c.state != "abandoned",
        or_(JOURNAL.c.stars_written.is_not(None), JOURNAL.c.former_stars.is_not(None)),
    )
    .distinct()
)
