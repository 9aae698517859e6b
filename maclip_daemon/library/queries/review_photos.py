"""Photos as the review page shows them: an ordered set of ids, and the rows of a few of them.

A shot counts once: of a RAW with its JPEG the RAW stands for both. Every function takes a `snapshot` of a
library, as in `rankings`.
"""

from __future__ import annotations

import sqlite3
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from maclip_daemon.library.queries.rankings import is_under
from maclip_daemon.library.storage import stored_paths
from maclip_daemon.library.storage.sql_views import (
    ACTIVE_CONFIG,
    PERCENTILE,
    RAW_AND_CALIBRATION,
    STARS,
)

Order = Literal["worst", "best", "taken", "name", "bursts"]
Mine = Literal["any", "unrated", "rated", "picked", "rejected", "1", "2", "3", "4", "5"]


_TOGETHER = 20_000  # rows; then other threads have their turn: the first page is not to wait for all
_PAUSE_S = 0.001


@dataclass(frozen=True)
class PhotoFilter:
    """Which photos a review shows, and in which order."""

    order: Order = "worst"
    under: tuple[str, ...] = ()
    """Folders, or photos by their paths; none: the whole library."""
    stars: tuple[int, ...] = ()
    """maclip's stars; none: any."""
    mine: Mine = "any"
    """What the person decided."""
    since: str | None = None
    """A date such as 2026-05-01, of taking."""
    until: str | None = None
    """As `since`; photos of that day are among them."""
    name: str = ""
    """A part of the file name, in any case."""
    camera: str = ""
    lens: str = ""
    kind: str = ""
    """Only photos in groups of this kind, such as `burst`; `any`: of any kind."""
    worst: int | None = None
    """Only the photos with the lowest scores, so many of them."""


@dataclass(frozen=True)
class ReviewPhoto:
    """One photo as the page shows it."""

    id: int
    path: str
    state: str
    width: int | None
    height: int | None
    taken_at: str | None
    size: int
    mtime_ns: int
    rating: int | None
    """-1 to 5, as last seen in the photo's file."""
    owner: str
    """Whose that rating is: `none`, `maclip` or `person`."""
    is_picked: bool
    score: float | None
    percentile: float | None
    stars: int | None
    """maclip's, 1 to 5."""
    waiting: int | None
    """A decided rating that is not in the file yet."""
    partners: int
    """Other files of the shot, which get the same decision."""
    camera: str | None
    lens: str | None
    exposure_s: float | None
    aperture: float | None
    iso: float | None
    focal_mm: float | None
    burst_id: int | None
    """The group of photos of one moment; None for a photo alone."""
    burst_kind: str | None
    burst_rank: int | None
    """1 the best; None where no frame of the group is better."""
    is_close: bool | None
    """Whether the best frame of its group is too close to call."""
    reasons: str | None
    """What speaks against it, as measured; None where nothing is sure."""


def ids(snapshot: sqlite3.Connection, chosen: PhotoFilter, limit: int = -1) -> tuple[array[int], set[int]]:
    """Return the ids of the chosen photos in order, and which of them a person has rated.

    `limit`: only the first ones; -1 for all.
    """
    statement, values = _statement(chosen)
    count = limit if chosen.worst is None else min(limit % (1 << 62), chosen.worst)
    found, decided = array("q"), set[int]()
    cursor = snapshot.execute(f"{statement} LIMIT ?", (*values, count))
    while some := cursor.fetchmany(_TOGETHER):
        found.extend(photo_id for photo_id, _ in some)
        decided.update(photo_id for photo_id, owner in some if owner == "person")
        time.sleep(_PAUSE_S)
    return found, decided


def rows(snapshot: sqlite3.Connection, photo_ids: Sequence[int]) -> list[ReviewPhoto]:
    """Return the rows of these photos (some hundreds at most), in their order, without forgotten ones."""
    marks = ", ".join("?" * len(photo_ids))
    found = {row[0]: _photo(row) for row in snapshot.execute(f"{_ROWS} WHERE p.id IN ({marks})", photo_ids)}
    return [found[photo_id] for photo_id in photo_ids if photo_id in found]


def burst_ids(snapshot: sqlite3.Connection, photo_id: int) -> list[int]:
    """Return the shots of a photo's group, the best first; empty when the photo is alone."""
    rows = snapshot.execute(
        "SELECT m.photo_id FROM burst_frames m JOIN photos p ON p.id = m.photo_id"
        " WHERE m.burst_id = (SELECT burst_id FROM burst_frames WHERE photo_id = ?) AND p.state <> 'missing'"
        " AND NOT EXISTS (SELECT 1 FROM photo_pairs follows WHERE follows.photo_id = m.photo_id)"
        " ORDER BY m.burst_rank IS NULL, m.burst_rank, m.moment, m.name_order, m.photo_id",
        (photo_id,),
    )
    return [found for (found,) in rows]


def equipment(snapshot: sqlite3.Connection) -> tuple[list[str], list[str]]:
    """Return the cameras and the lenses of the library, by name."""
    cameras = snapshot.execute("SELECT DISTINCT camera FROM photos WHERE camera IS NOT NULL ORDER BY 1")
    lenses = snapshot.execute("SELECT DISTINCT lens FROM photos WHERE lens IS NOT NULL ORDER BY 1")
    return [name for (name,) in cameras], [name for (name,) in lenses]


def _photo(row: Sequence[Any]) -> ReviewPhoto:
    photo_id, folder, name, *rest = row
    return ReviewPhoto(photo_id, stored_paths.join(folder, name), *rest)


_ROWS = f"""
SELECT p.id, f.path, p.file_name, p.state, p.width, p.height, p.taken_at, p.size, p.mtime_ns,
  p.rating_in_file, p.rating_owner, p.is_picked, s.score, {PERCENTILE}, {STARS},
  (SELECT d.rating FROM decisions d WHERE d.photo_id = p.id AND d.state = 'waiting'
    ORDER BY d.id DESC LIMIT 1),
  (SELECT count(*) FROM photo_pairs other WHERE other.raw_id = p.id),
  p.camera, p.lens, m.exposure_s, m.aperture, m.iso, m.focal_mm, b.id, b.kind, m.burst_rank, b.is_close,
  measured.reasons
FROM photos p
JOIN folders f ON f.id = p.folder_id
LEFT JOIN scores s ON s.photo_id = p.id AND s.scoring_config_id = {ACTIVE_CONFIG}
LEFT JOIN burst_frames m ON m.photo_id = p.id
LEFT JOIN bursts b ON b.id = m.burst_id
LEFT JOIN measures measured ON measured.photo_id = p.id
{RAW_AND_CALIBRATION}
"""
_ORDERS = {
    "worst": "s.score, s.id",
    "best": "s.score DESC, s.id",
    "taken": "p.taken_at IS NULL, p.taken_at, p.file_name, p.id",
    "name": "f.path, p.file_name",
    "bursts": "b.first_moment, b.id, m.burst_rank IS NULL, m.burst_rank, m.moment, m.name_order, p.id",
}


def _statement(chosen: PhotoFilter) -> tuple[str, list[Any]]:
    """Return the query for (id, owner) in order, and its values."""
    by_score = chosen.order in ("worst", "best")
    conditions = [
        "p.state <> 'missing'",
        "NOT EXISTS (SELECT 1 FROM photo_pairs follows WHERE follows.photo_id = p.id)",
    ]
    values: list[Any] = []
    if by_score:
        # CROSS JOIN: in the order of the index, so that the first page needs no sorting.
        source = "scores s CROSS JOIN photos p ON p.id = s.photo_id"
        conditions.append(f"s.scoring_config_id = {ACTIVE_CONFIG}")
    else:
        source = f"photos p LEFT JOIN scores s ON s.photo_id = p.id AND s.scoring_config_id = {ACTIVE_CONFIG}"
    if chosen.under or chosen.order == "name":
        source += " CROSS JOIN folders f ON f.id = p.folder_id"
    if chosen.kind or chosen.order == "bursts":
        source += " JOIN burst_frames m ON m.photo_id = p.id JOIN bursts b ON b.id = m.burst_id"
    for value, column in ((chosen.camera, "p.camera"), (chosen.lens, "p.lens")):
        if value:
            conditions.append(f"{column} = ?")
            values.append(value)
    if chosen.kind not in ("", "any"):
        conditions.append("b.kind = ?")
        values.append(chosen.kind)
    if chosen.stars:
        source += f" {RAW_AND_CALIBRATION}"
        conditions.append(f"{STARS} IN ({', '.join('?' * len(chosen.stars))})")
        values += chosen.stars
    if chosen.under:
        places = []
        for path in chosen.under:
            within, where = is_under("f.path", path)
            folder, name = stored_paths.split(path)
            places.append(f"{within} OR (f.path = ? AND p.file_name = ?)")
            values += [*where, stored_paths.stored(folder), stored_paths.stored(name)]
        conditions.append(f"({' OR '.join(places)})")
    if condition := _MINE.get(chosen.mine):
        conditions.append(condition)
    elif chosen.mine != "any":
        conditions.append("p.rating_owner = 'person' AND p.rating_in_file = ?")
        values.append(int(chosen.mine))
    for bound, comparison in ((chosen.since, ">="), (chosen.until, "<=")):
        if bound:
            conditions.append(f"substr(p.taken_at, 1, 10) {comparison} ?")
            values.append(bound)
    if chosen.name:
        conditions.append("p.file_name LIKE ? ESCAPE '\\'")
        values.append(f"%{_escaped(chosen.name)}%")
    return (
        f"SELECT p.id, p.rating_owner FROM {source} WHERE {' AND '.join(conditions)}"
        f" ORDER BY {_ORDERS[chosen.order]}",
        values,
    )


_MINE = {
    "unrated": "p.rating_owner <> 'person'",
    "rated": "p.rating_owner = 'person'",
    "picked": "p.is_picked = 1",
    "rejected": "p.rating_owner = 'person' AND p.rating_in_file = -1",
}


def _escaped(part: str) -> str:
    return part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
