"""Photos that may leave: those that a person rejected, and the weakest that nobody rated."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from maclip_daemon.library.queries.rankings import is_under
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


def rejected(snapshot: sqlite3.Connection, under: Sequence[str] = ()) -> list[CullCandidate]:
    """Return the photos that a person rejected (at or below these paths), in path order."""
    condition, values = _under(under)
    rows = snapshot.execute(
        "SELECT p.id, f.path, p.file_name, p.stars_written FROM photos p JOIN folders f ON f.id = p.folder_id"
        " WHERE p.rating_owner = 'person' AND p.rating_in_file = -1 AND p.state <> 'missing'"
        f" AND {condition} ORDER BY f.path, p.file_name",
        values,
    )
    return [CullCandidate(row[0], stored_paths.join(row[1], row[2]), row[3], True) for row in rows]


def counts(snapshot: sqlite3.Connection, under: Sequence[str] = ()) -> dict[int, int]:
    """Return how many photo files (at or below these paths) have each of a person's ratings, -1 to 5."""
    condition, values = _under(under)
    rows = snapshot.execute(
        "SELECT coalesce(p.rating_in_file, 0), count(*) FROM photos p JOIN folders f ON f.id = p.folder_id"
        f" WHERE p.rating_owner = 'person' AND p.state <> 'missing' AND {condition} GROUP BY 1",
        values,
    )
    return dict(rows.fetchall())


def weakest(snapshot: sqlite3.Connection, count: int, under: Sequence[str] = ()) -> list[CullCandidate]:
    """Return the photos with the lowest scores that no person rated or picked, and the files of their shots.

    `count`: of shots; a RAW with its JPEG counts once.
    """
    condition, values = _under(under)
    rows = snapshot.execute(
        "WITH chosen AS (SELECT p.id FROM scores s CROSS JOIN photos p ON p.id = s.photo_id"
        " JOIN folders f ON f.id = p.folder_id"
        f" WHERE s.scoring_config_id = {ACTIVE_CONFIG} AND p.state = 'scored' AND p.rating_owner <> 'person'"
        " AND p.is_picked = 0 AND NOT EXISTS (SELECT 1 FROM photo_pairs x WHERE x.photo_id = p.id)"
        " AND NOT EXISTS (SELECT 1 FROM photo_pairs x JOIN photos o ON o.id = x.photo_id"
        "  WHERE x.raw_id = p.id AND (o.rating_owner = 'person' OR o.is_picked = 1))"
        f" AND {condition} ORDER BY s.score, s.id LIMIT ?)"
        " SELECT p.id, f.path, p.file_name, p.stars_written FROM photos p"
        " JOIN folders f ON f.id = p.folder_id WHERE p.state <> 'missing' AND (p.id IN chosen"
        " OR p.id IN (SELECT photo_id FROM photo_pairs WHERE raw_id IN chosen))"
        " ORDER BY f.path, p.file_name",
        (*values, count),
    )
    return [CullCandidate(row[0], stored_paths.join(row[1], row[2]), row[3], False) for row in rows]


def _under(under: Sequence[str]) -> tuple[str, list[stored_paths.StoredPath]]:
    if not under:
        return "1", []
    conditions: list[str] = []
    values: list[stored_paths.StoredPath] = []
    for path in under:
        within, where = is_under("f.path", path)
        folder, name = stored_paths.split(path)
        conditions.append(f"{within} OR (f.path = ? AND p.file_name = ?)")
        values += [*where, stored_paths.stored(folder), stored_paths.stored(name)]
    return f"({' OR '.join(conditions)})", values
