"""Whether an undo or the end of all holds came last, though the clock was set in between.

Each takes the time of the clock, or one after the other's last.
"""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from maclip_daemon.library.storage import timestamps
from maclip_daemon.library.storage.notes import get_note, put_note
from maclip_daemon.library.storage.tables import JOURNAL, PHOTOS

ENDED_NOTE = "holds_ended"
"""When `maclip rate` last ended every hold, a timestamp of the library."""
_AFTER_S = 0.002  # timestamps are made of milliseconds, one of which may be lost in rounding


def has_ended(session: Session, undone_at: str) -> bool:
    """Return whether all holds were ended after this time of an undo, a timestamp of the library."""
    return bool(undone_at <= _ended_at(session))


def undo_moment(session: Session, now: float) -> str:
    """Return the time of an undo, a timestamp of the library: `now`, or after the end of all holds."""
    moment, ended_at = timestamps.text(now), _ended_at(session)
    if moment <= ended_at:
        moment = timestamps.text(timestamps.seconds(ended_at) + _AFTER_S)
    return moment


def note_end(session: Session, now: float) -> None:
    """Record that all holds end: `now`, or at the last undo."""
    put_note(session, ENDED_NOTE, max(timestamps.text(now), _last_undo(session)), now)


def _last_undo(session: Session) -> str:
    undone = select(func.max(JOURNAL.c.settled_at)).where(JOURNAL.c.state == "undone")
    held_at = session.execute(select(func.max(PHOTOS.c.rating_undone_at))).scalar()
    return max(session.execute(undone).scalar() or "", held_at or "")


def _ended_at(session: Session) -> str:
    return get_note(session, ENDED_NOTE) or ""
