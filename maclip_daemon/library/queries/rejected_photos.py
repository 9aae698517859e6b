"""Photos that may leave: those that a person rejected, and the weakest that nobody rated."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace

from maclip_daemon.library.queries.finding import filter_sql, score_order
from maclip_daemon.library.queries.finding.photo_filter import EVERYTHING, PhotoFilter
from maclip_daemon.library.storage import stored_paths
from maclip_daemon.library.storage.sql_views import ACTIVE_CONFIG


@dataclass(frozen=True)
class CullCandidate:
    """A photo file that may be moved away."""

    photo_id: int
    path: str
    stars_written: int | None
    """The rating that maclip last wrote and did not undo."""
    is_rejected: bool
    """Whether a person rejected it; otherwise it is among the weakest."""


def rejected(snapshot: sqlite3.Connection, chosen: PhotoFilter = EVERYTHING) -> list[CullCandidate]:
    """Return the photos of a filter that a person rejected, in path order.

    Without those about which a later decision waits to be written.
    """
    where, values = filter_sql.criteria(snapshot, replace(chosen, mine="any")).where()
    rows = snapshot.execute(
        f"SELECT p.id, f.path, p.file_name, p.stars_written FROM {_SOURCE}"
        f" WHERE {_REJECTED}{where} ORDER BY f.path, p.file_name",
        values,
    )
    return [CullCandidate(row[0], stored_paths.join(row[1], row[2]), row[3], True) for row in rows]


def still_rejected(snapshot: sqlite3.Connection, photo_ids: Sequence[int]) -> set[int]:
    """Return which of these photos (of one shot) are among the rejected ones."""
    marks = ", ".join("?" * len(photo_ids))
    rows = snapshot.execute(
        f"SELECT p.id FROM photos p WHERE {_REJECTED} AND p.id IN ({marks})", tuple(photo_ids)
    )
    return {photo_id for (photo_id,) in rows}


def counts(snapshot: sqlite3.Connection, chosen: PhotoFilter = EVERYTHING) -> dict[int, int]:
    """Return how many photo files of a filter have each of a person's ratings, -1 to 5."""
    where, values = filter_sql.criteria(snapshot, replace(chosen, mine="any")).where()
    rows = snapshot.execute(
        f"SELECT coalesce(p.rating_in_file, 0), count(*) FROM {_SOURCE}"
        f" WHERE {_PERSONS} AND p.state <> 'missing'{where} GROUP BY 1",
        values,
    )
    return dict(rows.fetchall())


def weakest(
    snapshot: sqlite3.Connection, count: int, chosen: PhotoFilter = EVERYTHING
) -> list[CullCandidate]:
    """Return the photos of a filter with the lowest scores that no person rated or picked, whole shots.

    `count`: of shots; a RAW with its JPEG counts once.
    """
    score_ids = score_order.first_scores(snapshot, replace(chosen, mine="undecided"), count, "ASC")
    rows = snapshot.execute(
        "WITH chosen AS (SELECT photo_id FROM scores WHERE id IN (SELECT value FROM json_each(?)))"
        " SELECT p.id, f.path, p.file_name, p.stars_written FROM photos p"
        " JOIN folders f ON f.id = p.folder_id WHERE p.state <> 'missing' AND (p.id IN chosen"
        " OR p.id IN (SELECT photo_id FROM photo_pairs WHERE raw_id IN chosen))"
        " ORDER BY f.path, p.file_name",
        (json.dumps(score_ids),),
    )
    return [CullCandidate(row[0], stored_paths.join(row[1], row[2]), row[3], False) for row in rows]


_PERSONS = "p.rating_owner <> 'none' AND p.rating_owner = 'person'"  # as the partial index has it
_REJECTED = (
    f"{_PERSONS} AND p.rating_in_file = -1 AND p.state <> 'missing' AND NOT EXISTS"
    " (SELECT 1 FROM decisions d WHERE d.photo_id = p.id AND d.state = 'waiting')"
)
# The conditions of a filter may ask for the score.
_SOURCE = (
    "photos p JOIN folders f ON f.id = p.folder_id"
    f" LEFT JOIN scores s ON s.photo_id = p.id AND s.scoring_config_id = {ACTIVE_CONFIG}"
)
