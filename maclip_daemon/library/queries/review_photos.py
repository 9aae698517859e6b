"""Photos as the review page shows them: an ordered set of ids, and the rows of a few of them.

A shot counts once: of a RAW with its JPEG the RAW stands for both. Every function takes a `snapshot` of a
library, as in `rankings`.
"""

from __future__ import annotations

import sqlite3
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from maclip_daemon.library.queries.finding import filter_sql
from maclip_daemon.library.queries.finding.photo_filter import PhotoFilter
from maclip_daemon.library.storage import stored_paths
from maclip_daemon.library.storage.sql_views import (
    ACTIVE_CONFIG,
    PERCENTILE,
    RAW_AND_CALIBRATION,
    STARS,
)

_TOGETHER = 20_000  # rows; then other threads have their turn: the first page is not to wait for all
_PAUSE_S = 0.001


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


def ids(
    snapshot: sqlite3.Connection,
    chosen: PhotoFilter,
    limit: int = -1,
    rest: Callable[[], object] = lambda: time.sleep(_PAUSE_S),
) -> tuple[array[int], set[int]]:
    """Return the ids of the chosen photos in order, and which of them a person has rated.

    `limit`: only the first ones; -1 for all. `rest`: called after each few thousand while more may come, so
    that other threads have their turn.
    """
    statement, values = _statement(snapshot, chosen)
    count = limit if chosen.worst is None else min(limit % (1 << 62), chosen.worst)
    found, decided = array("q"), set[int]()
    cursor = snapshot.execute(f"{statement} LIMIT ?", (*values, count))
    while some := cursor.fetchmany(_TOGETHER):
        found.extend(photo_id for photo_id, _ in some)
        decided.update(photo_id for photo_id, owner in some if owner == "person")
        if len(some) == _TOGETHER:
            rest()
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


def _statement(snapshot: sqlite3.Connection, chosen: PhotoFilter) -> tuple[str, list[Any]]:
    """Return the query for (id, owner) in order, and its values."""
    known = filter_sql.criteria(snapshot, chosen)
    where, values = known.where()
    few = filter_sql.few_ids(snapshot, known.all)
    score = f"s.photo_id = p.id AND s.scoring_config_id = {ACTIVE_CONFIG}"
    source, before = "photos p", list[Any]()
    if few is not None:
        source, before = f"({few[0]}) few CROSS JOIN photos p ON p.id = few.id", list(few[1])
    if chosen.order not in ("worst", "best"):
        source += f" LEFT JOIN scores s ON {score}"
    elif few is not None:
        source += f" CROSS JOIN scores s ON {score}"
    else:
        # CROSS JOIN: in the order of the index, so that the first page needs no sorting.
        source = "scores s CROSS JOIN photos p ON p.id = s.photo_id"
        where = f" AND s.scoring_config_id = {ACTIVE_CONFIG}{where}"
    if chosen.order == "name":
        source += " CROSS JOIN folders f ON f.id = p.folder_id"
    elif chosen.order == "bursts":
        source += " JOIN burst_frames m ON m.photo_id = p.id JOIN bursts b ON b.id = m.burst_id"
    once = "NOT EXISTS (SELECT 1 FROM photo_pairs follows WHERE follows.photo_id = p.id)"
    return (
        f"SELECT p.id, p.rating_owner FROM {source} WHERE p.state <> 'missing' AND {once}{where}"
        f" ORDER BY {_ORDERS[chosen.order]}",
        [*before, *values],
    )
