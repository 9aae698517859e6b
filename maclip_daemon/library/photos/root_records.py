"""The watched folders as the library remembers them: where they are and how they fare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import func, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from maclip_daemon.library.storage import stored_paths, timestamps
from maclip_daemon.library.storage.photo_paths import folder_is_under
from maclip_daemon.library.storage.tables import FOLDERS, PHOTOS, ROOTS

RootState = Literal["new", "watched", "polled", "paused"]

MOST_COUNTED = 1000  # a million would take half a second, at every look after the root


@dataclass(frozen=True)
class KnownRoot:
    """A watched folder and what was last said about it."""

    id: int
    path: str
    state: RootState
    """"new" before the first look at it."""
    reason: str | None
    device: int | None
    file_system: str | None
    scanned_at: str | None
    photo_count: int
    """Photos known below it, at most `MOST_COUNTED`: enough to see that it was emptied. The missing ones
    count: those of a disk that is away are missing, after a restart too."""


def root_for(session: Session, path: str, now: float) -> int:
    """Give the number of the root at `path`; a new one is remembered first."""
    place = stored_paths.without_trailing_slash(path)
    session.execute(insert(ROOTS).values(path=place, added_at=timestamps.text(now)).on_conflict_do_nothing())
    return int(session.execute(select(ROOTS.c.id).where(ROOTS.c.path == place)).scalar_one())


def set_state(
    session: Session,
    root_id: int,
    state: RootState,
    *,
    reason: str | None = None,
    device: int | None = None,
    file_system: str | None = None,
) -> None:
    """Remember how a root fares, in one word; `reason` says why it is paused and what would mend it.

    `device` and `file_system` are kept as they were where None is given.
    """
    facts: dict[str, object] = {"state": state, "reason": reason}
    if device is not None:
        facts["device"] = device
    if file_system is not None:
        facts["file_system"] = file_system
    session.execute(update(ROOTS).where(ROOTS.c.id == root_id).values(**facts))


def scanned(session: Session, root_id: int, now: float) -> None:
    """Remember that a full scan of the root ended."""
    session.execute(update(ROOTS).where(ROOTS.c.id == root_id).values(scanned_at=timestamps.text(now)))


def known_roots(session: Session) -> list[KnownRoot]:
    """Give all roots, in path order."""
    columns = (ROOTS.c.id, ROOTS.c.path, ROOTS.c.state, ROOTS.c.reason, ROOTS.c.device)
    rows = session.execute(
        select(*columns, ROOTS.c.file_system, ROOTS.c.scanned_at).order_by(ROOTS.c.path)
    ).all()
    return [KnownRoot(*row, photo_count=_known(session, row.path)) for row in rows]


def _known(session: Session, path: str) -> int:
    some = (
        select(PHOTOS.c.id)
        .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
        .where(folder_is_under(path))
        .limit(MOST_COUNTED)
    )
    return int(session.execute(select(func.count()).select_from(some.subquery())).scalar_one())
