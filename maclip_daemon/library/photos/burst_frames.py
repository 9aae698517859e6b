"""What grouping knows of photos: recorded as they are decoded, read by neighbourhood, marked when it changes.

A photo whose file, place or score changed is marked stale; so are the fellows of one that is deleted.
`pipeline/bursts/regrouping.py` finds the groups of stale photos again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from maclip_daemon.library.storage import stored_paths
from maclip_daemon.library.storage.connections import driver_of
from maclip_daemon.library.storage.sql_views import ACTIVE_CONFIG

Key = tuple[int, str, int]
"""Moment, name order and photo id: the order within a series."""


@dataclass(frozen=True)
class FrameRecord:
    """What is kept of one photo, as columns of `burst_frames`."""

    series: int
    """A digest of the camera, above 0; or the folder's id, negative, for a photo without a date."""
    moment: int
    name_order: str
    exposure_s: float | None
    aperture: float | None
    iso: float | None
    bias_ev: float | None
    focal_mm: float | None
    is_bracketed: bool
    descriptor: bytes | None


class FrameRow(NamedTuple):
    """A present photo with all that grouping needs; a tuple, because a million are made."""

    photo_id: int
    moment: int
    name_order: str
    exposure_s: float | None
    aperture: float | None
    iso: float | None
    bias_ev: float | None
    focal_mm: float | None
    is_bracketed: bool
    burst_id: int | None
    burst_rank: int | None
    folder_id: int
    file_name: str
    width: int | None
    height: int | None
    pixel_hash: str | None
    score: float | None
    descriptor: bytes | None


_COLUMNS = tuple(field.name for field in fields(FrameRecord))
_RECORD = (
    f"INSERT INTO burst_frames (photo_id, {', '.join(_COLUMNS)}, is_stale)"
    f" VALUES ({', '.join('?' * (len(_COLUMNS) + 1))}, 1) ON CONFLICT (photo_id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in (*_COLUMNS, "is_stale"))
    + ", burst_id = CASE WHEN (series, moment) = (excluded.series, excluded.moment) THEN burst_id END"
)


def record(session: Session, found: Mapping[int, FrameRecord]) -> None:
    """Store what decoding found of photos, by id; they become stale. Their former fellows do, too."""
    mark_fellows_stale(session, found)
    rows = [(photo_id, *astuple(frame)) for photo_id, frame in found.items()]
    driver_of(session.connection()).executemany(_RECORD, rows)


def file_facts(session: Session, photo_ids: Sequence[int]) -> dict[int, tuple[int, str, int]]:
    """Return folder id, file name and mtime (ns) of photos, by id."""
    marks = ", ".join("?" * len(photo_ids))
    rows = driver_of(session.connection()).execute(
        f"SELECT id, folder_id, file_name, mtime_ns FROM photos WHERE id IN ({marks})", list(photo_ids)
    )
    return {number: (folder, stored_paths.restored(name), mtime) for number, folder, name, mtime in rows}


def mark_stale(session: Session, photo_ids: Iterable[int]) -> None:
    """Let the groups of these photos be found again: they came, left, or have another score."""
    driver_of(session.connection()).executemany(
        "UPDATE burst_frames SET is_stale = 1 WHERE photo_id = ? AND is_stale = 0",
        [(photo_id,) for photo_id in photo_ids],
    )


def mark_fellows_stale(session: Session, photo_ids: Iterable[int]) -> None:
    """Let the groups of photos be found again without them: they are deleted, or leave their place."""
    driver_of(session.connection()).executemany(
        "UPDATE burst_frames SET is_stale = 1 WHERE is_stale = 0 AND burst_id ="
        " (SELECT burst_id FROM burst_frames WHERE photo_id = ?)",
        [(photo_id,) for photo_id in photo_ids],
    )


def forget(session: Session, photo_ids: Iterable[int]) -> None:
    """Take photos that are about to be deleted out of their groups, which must be found again."""
    numbers = [(photo_id,) for photo_id in photo_ids]
    mark_fellows_stale(session, [number for (number,) in numbers])
    driver = driver_of(session.connection())
    left = {
        burst_id
        for number in numbers
        for (burst_id,) in driver.execute("SELECT burst_id FROM burst_frames WHERE photo_id = ?", number)
    }
    driver.executemany("UPDATE burst_frames SET burst_id = NULL WHERE photo_id = ?", numbers)
    remove_empty(session, left - {None})


def remove_empty(session: Session, burst_ids: Iterable[int]) -> None:
    """Delete those of these groups that no photo is in."""
    driver_of(session.connection()).executemany(
        "DELETE FROM bursts WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM burst_frames WHERE burst_id = ?1)",
        [(burst_id,) for burst_id in burst_ids],
    )


def mark_moved(session: Session, photo_id: int, folder_id: int, file_name: str) -> None:
    """Record the new place of a photo: without a date it belongs to the series of its folder."""
    mark_fellows_stale(session, [photo_id])
    driver_of(session.connection()).execute(
        "UPDATE burst_frames SET is_stale = 1, name_order = :name,"
        " burst_id = CASE WHEN series < 0 OR name_order <> :name THEN NULL ELSE burst_id END,"
        " series = CASE WHEN series < 0 THEN :series ELSE series END WHERE photo_id = :photo",
        {"photo": photo_id, "series": -folder_id, "name": name_order(file_name)},
    )


_NUMBER = re.compile(r"\d+")
_LONGEST_NUMBER = 12  # digits; longer ones are no counters


def name_order(file_name: str) -> str:
    """Return a text that sorts `IMG_9.jpg` before `IMG_10.jpg`."""
    padded = _NUMBER.sub(lambda number: number[0].lstrip("0").rjust(_LONGEST_NUMBER, "0"), file_name.lower())
    return padded.encode("utf-8", "replace").decode("utf-8")


def unknown(session: Session, limit: int) -> list[int]:
    """Return scored photos that were never compared with others, the newest first."""
    rows = driver_of(session.connection()).execute(
        "SELECT p.id FROM photos p WHERE p.state = 'scored'"
        " AND NOT EXISTS (SELECT 1 FROM burst_frames b WHERE b.photo_id = p.id) ORDER BY p.id DESC LIMIT ?",
        (limit,),
    )
    return [number for (number,) in rows]


def has_stale(session: Session) -> bool:
    """Return whether some groups must be found again; an indexed query."""
    return (
        driver_of(session.connection()).execute("SELECT 1 FROM burst_frames WHERE is_stale = 1").fetchone()
        is not None
    )


def stale(session: Session, limit: int) -> list[tuple[int, Key, int | None, bool]]:
    """Return series, place and group of stale photos, and whether they are present, in order of their ids."""
    rows = driver_of(session.connection()).execute(
        "SELECT b.series, b.moment, b.name_order, b.photo_id, b.burst_id, p.state <> 'missing'"
        " FROM burst_frames b JOIN photos p ON p.id = b.photo_id WHERE b.is_stale = 1"
        " ORDER BY b.photo_id LIMIT ?",
        (limit,),
    )
    return [
        (series, (moment, name, photo_id), burst_id, bool(present))
        for series, moment, name, photo_id, burst_id, present in rows
    ]


def mark_fresh(session: Session, photo_ids: Iterable[int]) -> None:
    """Record that the groups of these photos are found."""
    driver_of(session.connection()).executemany(
        "UPDATE burst_frames SET is_stale = 0 WHERE photo_id = ?", [(photo_id,) for photo_id in photo_ids]
    )


def places_before(session: Session, series: int, key: Key, count: int) -> list[Key]:
    """Return up to `count` places of present photos before a place, the nearest first."""
    return driver_of(session.connection()).execute(_BEFORE, (series, *key, count)).fetchall()


def places_from(session: Session, series: int, key: Key, count: int) -> list[Key]:
    """Return up to `count` places of present photos from a place on, itself included."""
    return driver_of(session.connection()).execute(_FROM, (series, *key, count)).fetchall()


_PLACE = (
    "SELECT b.moment, b.name_order, b.photo_id FROM burst_frames b CROSS JOIN photos p"
    " ON p.id = b.photo_id WHERE b.series = ? AND p.state <> 'missing'"
    " AND (b.moment, b.name_order, b.photo_id) "
)
_BEFORE = f"{_PLACE} < (?, ?, ?) ORDER BY b.moment DESC, b.name_order DESC, b.photo_id DESC LIMIT ?"
_FROM = f"{_PLACE} >= (?, ?, ?) ORDER BY b.moment, b.name_order, b.photo_id LIMIT ?"


def between(session: Session, series: int, first: Key, last: Key) -> list[FrameRow]:
    """Return the present photos of a series from one place to another, both included, in order."""
    rows = driver_of(session.connection()).execute(_BETWEEN, (series, *first, *last))
    return [_frame_row(list(row)) for row in rows]


def before(session: Session, series: int, key: Key, count: int) -> list[FrameRow]:
    """Return up to `count` present photos of a series before a place, the nearest first."""
    rows = driver_of(session.connection()).execute(_ROWS_BEFORE, (series, *key, count))
    return [_frame_row(list(row)) for row in rows]


def behind(session: Session, series: int, key: Key, count: int) -> list[FrameRow]:
    """Return up to `count` present photos of a series behind a place, the nearest first."""
    rows = driver_of(session.connection()).execute(_ROWS_BEHIND, (series, *key, count))
    return [_frame_row(list(row)) for row in rows]


def following(session: Session, series: int, key: Key, count: int) -> list[FrameRow]:
    """Return up to `count` present photos of a series from a place on, itself included, in order."""
    rows = driver_of(session.connection()).execute(_FOLLOWING, (series, *key, count))
    return [_frame_row(list(row)) for row in rows]


def all_series(session: Session) -> list[int]:
    """Return every series with a stale photo."""
    rows = driver_of(session.connection()).execute(
        "SELECT DISTINCT series FROM burst_frames WHERE is_stale = 1"
    )
    return [series for (series,) in rows]


def count_stale(session: Session, most: int) -> int:
    """Count the stale photos, `most` at most."""
    (count,) = (
        driver_of(session.connection())
        .execute("SELECT count(*) FROM (SELECT 1 FROM burst_frames WHERE is_stale = 1 LIMIT ?)", (most,))
        .fetchone()
    )
    return int(count)


def _frame_row(values: list[Any]) -> FrameRow:
    values[_BRACKETED] = bool(values[_BRACKETED])
    values[_FILE_NAME] = stored_paths.restored(values[_FILE_NAME])
    return FrameRow._make(values)


_BRACKETED, _FILE_NAME = FrameRow._fields.index("is_bracketed"), FrameRow._fields.index("file_name")


_ROWS = (
    "SELECT b.photo_id, b.moment, b.name_order, b.exposure_s, b.aperture, b.iso, b.bias_ev, b.focal_mm,"
    " b.is_bracketed, b.burst_id, b.burst_rank, p.folder_id, p.file_name, p.width, p.height, p.pixel_hash,"
    " (SELECT coalesce(s.detail_score, s.score) FROM scores s WHERE s.photo_id = b.photo_id"
    f" AND s.scoring_config_id = {ACTIVE_CONFIG}),"
    " b.descriptor FROM burst_frames b CROSS JOIN photos p ON p.id = b.photo_id"
    " WHERE b.series = ? AND p.state <> 'missing' AND (b.moment, b.name_order, b.photo_id)"
)
_ORDER = " ORDER BY b.moment, b.name_order, b.photo_id"
_BETWEEN = f"{_ROWS} >= (?, ?, ?) AND (b.moment, b.name_order, b.photo_id) <= (?, ?, ?){_ORDER}"
_FOLLOWING = f"{_ROWS} >= (?, ?, ?){_ORDER} LIMIT ?"
_ROWS_BEHIND = f"{_ROWS} > (?, ?, ?){_ORDER} LIMIT ?"
_ROWS_BEFORE = f"{_ROWS} < (?, ?, ?) ORDER BY b.moment DESC, b.name_order DESC, b.photo_id DESC LIMIT ?"
