"""The watched folders as the library records them: path, device and state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import func, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from maclip_daemon.library.storage import stored_paths, timestamps
from maclip_daemon.library.storage.photo_paths import folder_is_under
from maclip_daemon.library.storage.tables import FOLDERS, PHOTOS, ROOTS

RootStatus = Literal["new", "watched", "polled", "paused"]

COUNT_LIMIT = 1000  # photos; a million would take half a second, at every check of the root


@dataclass(frozen=True)
class KnownRoot:
    """A watched folder and its last known state."""

    id: int
    path: str
    state: RootStatus
    """"new" before its first check."""
    reason: str | None
    device: int | None
    file_system: str | None
    scanned_at: str | None
    photo_count: int
    """Photos known below it, at most `COUNT_LIMIT`: enough to see that it was emptied. The missing ones
    count: those of an offline disk are missing, after a restart too."""


def root_for(session: Session, path: str, now: float) -> int:
    """Return the id of the root at `path`, which is added when it is new."""
    folder = stored_paths.without_trailing_slash(path)
    session.execute(insert(ROOTS).values(path=folder, added_at=timestamps.text(now)).on_conflict_do_nothing())
    return int(session.execute(select(ROOTS.c.id).where(ROOTS.c.path == folder)).scalar_one())


def set_state(
    session: Session,
    root_id: int,
    state: RootStatus,
    *,
    reason: str | None = None,
    device: int | None = None,
    file_system: str | None = None,
) -> None:
    """Record the state of a root; `reason` names why it is paused and the cure.

    None for `device` or `file_system` keeps the recorded one.
    """
    values: dict[str, object] = {"state": state, "reason": reason}
    if device is not None:
        values["device"] = device
    if file_system is not None:
        values["file_system"] = file_system
    session.execute(update(ROOTS).where(ROOTS.c.id == root_id).values(**values))


def record_scan(session: Session, root_id: int, now: float) -> None:
    """Record that a full scan of the root ended."""
    session.execute(update(ROOTS).where(ROOTS.c.id == root_id).values(scanned_at=timestamps.text(now)))


def known_roots(session: Session) -> list[KnownRoot]:
    """Return all roots, in path order."""
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
        .limit(COUNT_LIMIT)
    )
    return int(session.execute(select(func.count()).select_from(some.subquery())).scalar_one())
