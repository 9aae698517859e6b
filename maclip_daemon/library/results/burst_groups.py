"""The stored groups of photos of one moment."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
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


def replace(session: Session, burst_ids: Sequence[int | None], groups: Sequence[GroupRow]) -> list[int]:
    """Store groups under their former numbers, or (None) under new ones; return the numbers."""
    driver = driver_of(session.connection())
    numbers = _numbered(driver, burst_ids)
    rows = [(*_values(group), number) for number, group in zip(numbers, groups, strict=True)]
    is_new = [burst_id is None for burst_id in burst_ids]
    driver.executemany(_INSERT, [row for row, new in zip(rows, is_new, strict=True) if new])
    driver.executemany(_UPDATE, [row for row, new in zip(rows, is_new, strict=True) if not new])
    driver.executemany(
        "UPDATE burst_frames SET burst_id = ?1, burst_rank = ?2 WHERE photo_id = ?3"
        " AND (burst_id IS NOT ?1 OR burst_rank IS NOT ?2)",
        [
            (number, rank, photo_id)
            for number, group in zip(numbers, groups, strict=True)
            for photo_id, rank in group.ranks.items()
        ],
    )
    return numbers


def _numbered(driver: sqlite3.Connection, burst_ids: Sequence[int | None]) -> list[int]:
    """Return the numbers with the next ones, which no group ever had, in place of None."""
    if None not in burst_ids:
        return [burst_id for burst_id in burst_ids if burst_id is not None]
    last = driver.execute("SELECT seq FROM sqlite_sequence WHERE name = 'bursts'").fetchone()
    following = itertools.count(1 if last is None else int(last[0]) + 1)
    return [next(following) if burst_id is None else burst_id for burst_id in burst_ids]


def _values(group: GroupRow) -> tuple[object, ...]:
    return (
        group.kind,
        group.members,
        group.best_id,
        group.margin,
        group.spread,
        group.is_close,
        group.first_moment,
        group.last_moment,
    )


_INSERT = (
    "INSERT INTO bursts (kind, members, best_id, margin, spread, is_close, first_moment, last_moment, id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
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
