"""Photos as the review page shows them: an ordered set of ids, and the rows of a few of them.

A shot counts once: of a RAW with its JPEG the RAW stands for both. Every function takes a `snapshot` of a
library, as in `rankings`.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from maclip_daemon.library.queries.finding import filter_sql, star_bounds
from maclip_daemon.library.queries.finding.photo_filter import EVERYTHING, Order, PhotoFilter
from maclip_daemon.library.storage import stored_paths
from maclip_daemon.library.storage.sql_views import (
    ACTIVE_CONFIG,
    PERCENTILE,
    RAW_AND_CALIBRATION,
    STARS,
)

_PART = 100_000  # characters that are made into numbers at a time
LOOK_AHEAD = 2000  # scores in order; the first page of a filter that lets many pass
_ONCE = "NOT EXISTS (SELECT 1 FROM photo_pairs follows WHERE follows.photo_id = p.id)"
_SHOWN = (
    "{0} NOT IN (SELECT id FROM photos WHERE state = 'missing')"
    " AND {0} NOT IN (SELECT photo_id FROM photo_pairs)"
)


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

    `limit`: only the first ones; -1 for all. All of them come in one step of SQLite, in which other threads
    run: a row at a time, a million would take turns with them a million times.
    """
    count = limit if chosen.worst is None else min(limit % (1 << 62), chosen.worst)
    is_many = not 0 <= count <= LOOK_AHEAD
    if (
        is_many
        and chosen == replace(EVERYTHING, order=chosen.order, worst=chosen.worst)
        and chosen.order in _SCORES
    ):
        return _every_score(snapshot, chosen, count)
    found, rated = array("q"), array("q")
    for statement, values in _statements(snapshot, chosen, count):
        both = snapshot.execute(
            "SELECT group_concat(id), group_concat(CASE WHEN rating_owner = 'person' THEN id END)"
            f" FROM ({statement} LIMIT ?)",
            (*values, count),
        ).fetchone()
        found, rated = map(_numbers, both)
        if len(found) == count:
            break  # the next statement would find the same ones
    return found, set(rated)


def _every_score(
    snapshot: sqlite3.Connection, chosen: PhotoFilter, count: int
) -> tuple[array[int], set[int]]:
    """Return `ids` of all photos by their scores, from indexes alone: no row of a photo is read."""
    of_config = f"FROM scores s WHERE s.scoring_config_id = {ACTIVE_CONFIG} AND {_SHOWN.format('s.photo_id')}"
    (text,) = snapshot.execute(
        "SELECT group_concat(photo_id) FROM"
        f" (SELECT s.photo_id {of_config} ORDER BY {_ORDERS[chosen.order]} LIMIT ?)",
        (count,),
    ).fetchone()
    (rated,) = snapshot.execute(
        "SELECT group_concat(p.id) FROM photos p WHERE p.rating_owner <> 'none' AND p.rating_owner = 'person'"
        f" AND {_SHOWN.format('p.id')}"
        f" AND EXISTS (SELECT 1 FROM scores s WHERE {_SCORE})"
    ).fetchone()
    found, decided = _numbers(text), set(_numbers(rated))
    return found, decided if count < 0 else decided.intersection(found)


def _numbers(text: str | None) -> array[int]:
    """Return the numbers between the commas; in parts, as a million short texts take 60 MB."""
    found, start = array("q"), 0
    while text and start < len(text):
        end = text.find(",", start + _PART)
        end = len(text) if end < 0 else end
        found.extend(map(int, text[start:end].split(",")))
        start = end + 1
    return found


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
    "worst": "s.score, s.photo_id",
    "best": "s.score DESC, s.photo_id",
    "taken": "p.taken_at IS NULL, p.taken_at, p.file_name, p.id",
    "name": "f.path, p.file_name",
    "bursts": "b.first_moment, b.id, m.burst_rank IS NULL, m.burst_rank, m.moment, m.name_order, p.id",
}


_SCORES = ("worst", "best")


def _statements(
    snapshot: sqlite3.Connection, chosen: PhotoFilter, count: int
) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield queries for (id, owner) in order, with their values; the last one finds all there are.

    The first looks at the first scores in order only, when so few are asked for that this may do.
    """
    known = filter_sql.criteria(snapshot, chosen)
    where, values = known.where()
    conditions = f"p.state <> 'missing' AND {_ONCE}{where}"
    order = f"ORDER BY {_ORDERS[chosen.order]}"
    if chosen.order not in _SCORES:
        rows, before = _rows_of(snapshot, known, chosen.order)
        yield (
            f"{_IDS} FROM {rows} LEFT JOIN scores s ON {_SCORE} WHERE {conditions} {order}",
            [*before, *values],
        )
        return
    within, bounds = star_bounds.bounds(snapshot, chosen.stars)
    of_config = f"s.scoring_config_id = {ACTIVE_CONFIG}{within}"
    few = filter_sql.few_ids(snapshot, known.all)
    if few is None and (not known.all or 0 < count <= LOOK_AHEAD):
        # CROSS JOIN: in the order of the index, so that nothing is sorted.
        ahead = (
            f"(SELECT * FROM scores s WHERE {of_config} {order} LIMIT {LOOK_AHEAD if known.all else -1}) s"
        )
        yield (
            f"{_IDS} FROM {ahead} CROSS JOIN photos p ON p.id = s.photo_id WHERE {conditions}",
            [*bounds, *values],
        )
    if known.all:
        rows, before = _listed(few) if few else filter_sql.in_rows(snapshot, known.all)
        yield (
            f"{_IDS} FROM {rows} CROSS JOIN scores s ON {_SCORE} WHERE {conditions}{within} {order}",
            [*before, *values, *bounds],
        )


_IDS = "SELECT p.id, p.rating_owner"
_SCORE = f"s.photo_id = p.id AND s.scoring_config_id = {ACTIVE_CONFIG}"


def _listed(few: tuple[str, Sequence[Any]]) -> tuple[str, Sequence[Any]]:
    return f"({few[0]}) few CROSS JOIN photos p ON p.id = few.id", few[1]


def _rows_of(
    snapshot: sqlite3.Connection, known: filter_sql.Criteria, order: Order
) -> tuple[str, Sequence[Any]]:
    """Return the source of `photos p` for an order that is not the scores', and its values."""
    few = filter_sql.few_ids(snapshot, known.all)
    source, values = _listed(few) if few else ("photos p", [])
    if order == "name":
        # Without a list, folders and their photos come in this order already.
        of_folders = "folders f CROSS JOIN photos p ON p.folder_id = f.id"
        source = f"{source} CROSS JOIN folders f ON f.id = p.folder_id" if few else of_folders
    elif order == "bursts":
        source += " JOIN burst_frames m ON m.photo_id = p.id JOIN bursts b ON b.id = m.burst_id"
    return source, values
