"""How many photos of each root hold one and the same rating that is not maclip's."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass

from maclip_daemon.library.storage import stored_paths

Snapshot = sqlite3.Connection
"""What `Library.snapshot` and `ReadOnlyLibrary.snapshot` return."""

_PHOTOS = " FROM photos p JOIN folders f ON f.id = p.folder_id WHERE p.state <> 'missing'"


@dataclass(frozen=True)
class RatingCount:
    """The photos of one root with one rating of a person's."""

    root_id: int
    root: str
    rating: int
    count: int
    of: int
    """All photos of the root that are rated, but not by maclip."""


def persons_ratings(snapshot: sqlite3.Connection, ratings: Collection[int]) -> list[RatingCount]:
    """Return how many photos of each root have these ratings, which count as a person's."""
    rows = snapshot.execute(
        f"SELECT f.root_id, p.rating_in_file, count(*){_PHOTOS} AND p.rating_owner = 'person' GROUP BY 1, 2"
    ).fetchall()
    totals: dict[int, int] = {}
    for root_id, _, count in rows:
        totals[root_id] = totals.get(root_id, 0) + count
    paths = {
        root_id: stored_paths.restored(path)
        for root_id, path in snapshot.execute("SELECT id, path FROM roots")
    }
    return [
        RatingCount(root_id, paths[root_id], rating, count, totals[root_id])
        for root_id, rating, count in rows
        if rating in ratings
    ]


def sample(snapshot: sqlite3.Connection, root_id: int, rating: int, limit: int) -> list[str]:
    """Return paths of photos with a rating of a person's, spread over the root."""
    rows = snapshot.execute(
        f"SELECT f.path, p.file_name{_PHOTOS} AND p.rating_owner = 'person' AND f.root_id = ?"
        " AND p.rating_in_file = ? ORDER BY (p.id * 7919) % 10007 LIMIT ?",
        (root_id, rating, limit),
    )
    return [stored_paths.join(folder, name) for folder, name in rows]


def with_problem(snapshot: sqlite3.Connection, problem: str) -> dict[str, int]:
    """Return the number of photos of each root that could not be rated for exactly this reason."""
    rows = snapshot.execute(
        f"SELECT r.path, n FROM (SELECT f.root_id AS root_id, count(*) AS n{_PHOTOS}"
        " AND p.rating_problem = ? GROUP BY 1) JOIN roots r ON r.id = root_id",
        (problem,),
    )
    return {stored_paths.restored(path): count for path, count in rows}
