"""Journal entries that undo has no use for: one of each kind is enough for a file.

They tell that a photo's stars were undone, and which ratings maclip ever wrote.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.orm import Session

from maclip_daemon.library.results.written_ratings import bit_of
from maclip_daemon.library.storage.tables import JOURNAL


def join_ended(session: Session, target_path: str) -> None:
    """Keep the last undone and the last abandoned entry of each photo for this file.

    The undone one then stands for the ratings of those before.
    """
    last_of: dict[Hashable, int] = {}
    stars: dict[int, int] = defaultdict(int)
    dropped: list[int] = []
    for row in session.execute(_ENDED, {"path": target_path}):  # newest first
        last = last_of.setdefault((row.state, row.photo_id, row.pixel_hash), row.id)
        if last != row.id:
            dropped.append(row.id)
            if row.state == "undone":
                stars[last] |= bit_of(row.stars_written) | (row.former_stars or 0)
    if not dropped:
        return
    session.execute(delete(JOURNAL).where(JOURNAL.c.id.in_(dropped)))
    for entry_id, bits in stars.items():
        session.execute(_ADD_STARS, {"entry": entry_id, "bits": bits})


def files_with_several(session: Session, after: str | None, limit: int) -> list[str]:
    """Return the next files, in the order of their paths, with several entries of one state."""
    several = (
        select(JOURNAL.c.target_path)
        .group_by(JOURNAL.c.target_path, JOURNAL.c.state)
        .having(func.count() > 1)
        .distinct()
        .order_by(JOURNAL.c.target_path)
        .limit(limit)
    )
    if after is not None:
        several = several.where(JOURNAL.c.target_path > after)
    return [path for (path,) in session.execute(several)]


_ENDED = (
    select(
        JOURNAL.c.id,
        JOURNAL.c.state,
        JOURNAL.c.photo_id,
        JOURNAL.c.pixel_hash,
        JOURNAL.c.stars_written,
        JOURNAL.c.former_stars,
    )
    .where(JOURNAL.c.target_path == bindparam("path"), JOURNAL.c.state.in_(("undone", "abandoned")))
    .order_by(JOURNAL.c.id.desc())
)
_ADD_STARS = (
    update(JOURNAL)
    .where(JOURNAL.c.id == bindparam("entry"))
    .values(former_stars=func.coalesce(JOURNAL.c.former_stars, 0).op("|")(bindparam("bits")))
)
