"""The stored groups of photos of one moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from maclip_daemon.library.storage.connections import driver_of


@dataclass(frozen=True)
class GroupRow:
    """A group as it is stored."""

    kind: str
    members: int
    """Shots: a RAW and its JPEG are one."""
    best_id: int | None
    margin: float | None
    spread: float | None
    is_close: bool
    first_moment: int
    last_moment: int
    ranks: Mapping[int, int | None]
    """Of every file, by photo id; None where no frame is better."""


def replace(session: Session, burst_id: int | None, group: GroupRow) -> int:
    """Store a group under its former number, or under a new one; return the number."""
    driver = driver_of(session.connection())
    values = (
        group.kind,
        group.members,
        group.best_id,
        group.margin,
        group.spread,
        group.is_close,
        group.first_moment,
        group.last_moment,
    )
    if burst_id is None:
        (burst_id,) = driver.execute(_INSERT, values).fetchone()
    else:
        driver.execute(_UPDATE, (*values, burst_id))
    driver.executemany(
        "UPDATE burst_frames SET burst_id = ?, burst_rank = ? WHERE photo_id = ?"
        " AND (burst_id IS NOT ? OR burst_rank IS NOT ?)",
        [(burst_id, rank, photo_id, burst_id, rank) for photo_id, rank in group.ranks.items()],
    )
    return int(burst_id)


_INSERT = (
    "INSERT INTO bursts (kind, members, best_id, margin, spread, is_close, first_moment, last_moment)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id"
)
_UPDATE = (
    "UPDATE bursts SET kind = ?, members = ?, best_id = ?, margin = ?, spread = ?, is_close = ?,"
    " first_moment = ?, last_moment = ? WHERE id = ?"
)


def leave(session: Session, photo_ids: Iterable[int]) -> None:
    """Take photos out of their groups."""
    driver_of(session.connection()).executemany(
        "UPDATE burst_frames SET burst_id = NULL, burst_rank = NULL WHERE photo_id = ?"
        " AND burst_id IS NOT NULL",
        [(photo_id,) for photo_id in photo_ids],
    )
