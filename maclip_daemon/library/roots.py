"""The watched folders as the library remembers them: where they are and how they fare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import func, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from maclip_daemon.library import moments, paths
from maclip_daemon.library.tables import FOLDERS, PHOTOS, ROOTS

RootState = Literal["new", "watched", "polled", "paused"]


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
    """Photos below it that are not missing."""


def root_for(session: Session, path: str, now: float) -> int:
    """Give the number of the root at `path`; a new one is remembered first."""
    place = paths.without_trailing_slash(path)
    session.execute(insert(ROOTS).values(path=place, added_at=moments.text(now)).on_conflict_do_nothing())
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
    session.execute(update(ROOTS).where(ROOTS.c.id == root_id).values(scanned_at=moments.text(now)))


def known_roots(session: Session) -> list[KnownRoot]:
    """Give all roots, with the number of photos present below each."""
    present = (
        select(func.count())
        .select_from(PHOTOS.join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id))
        .where(FOLDERS.c.root_id == ROOTS.c.id, PHOTOS.c.state != "missing")
        .scalar_subquery()
    )
    columns = (ROOTS.c.id, ROOTS.c.path, ROOTS.c.state, ROOTS.c.reason, ROOTS.c.device)
    rows = session.execute(
        select(*columns, ROOTS.c.file_system, ROOTS.c.scanned_at, present).order_by(ROOTS.c.path)
    )
    return [KnownRoot(*row) for row in rows]
