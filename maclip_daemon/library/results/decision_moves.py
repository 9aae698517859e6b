"""Decisions about a photo that the library knows as another one now: on another disk, or as a copy."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from maclip_daemon.library.results import decided_files, decisions
from maclip_daemon.library.results.decisions import NewDecision, StoredDecision
from maclip_daemon.library.storage.tables import DECISIONS


def move(session: Session, former_id: int, photo_id: int) -> None:
    """Let a photo have the decisions about the one that it succeeds.

    Of several that wait then, the last one stands; none waits where a later one is written already.
    """
    theirs = DECISIONS.c.photo_id == former_id
    session.execute(update(DECISIONS).where(theirs).values(photo_id=photo_id))
    mine = DECISIONS.c.photo_id == photo_id
    last_written = (
        select(func.max(DECISIONS.c.id)).where(mine, DECISIONS.c.state == "written").scalar_subquery()
    )
    is_over = mine & (DECISIONS.c.state == "waiting") & (DECISIONS.c.id < last_written)
    session.execute(update(DECISIONS).where(is_over).values(state="replaced"))
    waiting = decisions.waiting(session, photo_id)
    while len(waiting) > 1:
        last = waiting.pop()
        waiting[-1] = _joined(session, waiting[-1], last)


def _joined(session: Session, former: StoredDecision, last: StoredDecision) -> StoredDecision:
    """Let the later one of two decisions stand for both."""
    decided = NewDecision(last.photo_id, last.rating, last.pick, last.seen)
    whole = decisions.with_other_half(decided, former)
    joined = replace(last, rating=whole.rating, pick=whole.pick, seen=whole.seen, before=former.before)
    values = {"rating": joined.rating, "pick": joined.pick, "seen": joined.seen, "before": joined.before}
    session.execute(update(DECISIONS).where(DECISIONS.c.id == last.id).values(**values))
    session.execute(update(DECISIONS).where(DECISIONS.c.id == former.id).values(state="replaced"))
    decided_files.take_over(session, former.id, last.id)
    return joined
