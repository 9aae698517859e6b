"""The first photos of a filter in the order of their scores, without reading all scores.

A few scores are looked at in order first. Where the filter leaves too few of them, a short list of ids from
another index is sorted, or the folders are asked one by one; only then all photos are read, row by row.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from maclip_daemon.library.queries.finding import filter_sql, shots, star_bounds
from maclip_daemon.library.queries.finding.folder_ranges import is_under_any
from maclip_daemon.library.queries.finding.photo_filter import PhotoFilter
from maclip_daemon.library.storage import stored_paths
from maclip_daemon.library.storage.sql_views import ACTIVE_CONFIG

LOOK_AHEAD = 500  # scores read in order first; about a millisecond
Direction = Literal["ASC", "DESC"]


@dataclass(frozen=True)
class _Search:
    """A query for the ids of scores: its conditions on `scores s` and `photos p`, and its direction."""

    snapshot: sqlite3.Connection
    where: str
    values: Sequence[Any]
    direction: Direction

    @property
    def order(self) -> str:
        return f"ORDER BY s.score {self.direction}, s.id"

    def run(self, source: str, count: int, before: Sequence[Any] = ()) -> list[int]:
        """Return the first ids of a source that has `s` and `p`; `before`: the values of the source."""
        rows = self.snapshot.execute(
            f"SELECT s.id FROM {source} WHERE {self.where} {self.order} LIMIT ?",
            (*before, *self.values, count),
        )
        return [number for (number,) in rows]


_IN_ORDER = "scores s CROSS JOIN photos p ON p.id = s.photo_id"


def first_scores(
    snapshot: sqlite3.Connection,
    chosen: PhotoFilter,
    count: int,
    direction: Direction,
    *,
    each_file: bool = False,
) -> list[int]:
    """Return the ids of the first `count` scores of a filter; `each_file`: of both files of a RAW+JPEG shot.

    Missing and failed photos, and those that wait to be scored again, are left out.
    """
    known = filter_sql.criteria(snapshot, chosen)
    where, values = known.where()
    once = "" if each_file else f" AND {shots.STANDS_FOR_SHOT}"
    within, bounds = ("", []) if each_file else star_bounds.bounds(snapshot, chosen.stars)
    search = _Search(
        snapshot,
        f"s.scoring_config_id = {ACTIVE_CONFIG}{within} AND p.state = 'scored'{once}{where}",
        [*bounds, *values],
        direction,
    )
    if not known.all:
        return search.run(_IN_ORDER, count)
    ahead = _ahead(search, within, bounds, count)
    if len(ahead) == count:
        return ahead
    if few := filter_sql.few_ids(snapshot, known.of_photos):
        source = (
            f"({few[0]}) few CROSS JOIN photos p ON p.id = few.id CROSS JOIN scores s ON s.photo_id = p.id"
        )
        return search.run(source, count, few[1])
    if known.of_folders:
        return _by_folder(search, (chosen.folder,) if chosen.folder else chosen.under, count)
    rows, row_values = filter_sql.in_rows(snapshot, known.of_photos)
    return search.run(f"{rows} CROSS JOIN scores s ON s.photo_id = p.id", count, row_values)


def _ahead(search: _Search, within: str, bounds: Sequence[Any], count: int) -> list[int]:
    """Return what the first scores in order have, row by row: it stops at the last one."""
    rows = search.snapshot.execute(
        f"SELECT s.id FROM (SELECT * FROM scores s WHERE s.scoring_config_id = {ACTIVE_CONFIG}{within}"
        f" {search.order} LIMIT {LOOK_AHEAD}) s CROSS JOIN photos p ON p.id = s.photo_id"
        f" WHERE {search.where}",
        (*bounds, *search.values),
    )
    return [number for (number,) in islice(rows, count)]


def _by_folder(search: _Search, paths: Sequence[str], count: int) -> list[int]:
    """Merge the first scores of the folders.

    A folder can only add to the result when its own first score would. So the folders are asked in the order
    of their first scores, until the first of the next comes after all that were found.
    """
    within, folder_values = is_under_any("f.path", paths)
    parents = [stored_paths.stored(stored_paths.split(path)[0]) for path in paths]
    first_of = _of_folder(search, "s.score", "f.id")
    marks = ", ".join("?" * len(parents))
    folders = search.snapshot.execute(
        f"SELECT id, first FROM (SELECT f.id AS id, ({first_of} LIMIT 1) AS first FROM folders f"
        f" WHERE {within} OR f.path IN ({marks}))"
        f" WHERE first IS NOT NULL ORDER BY first {search.direction}",
        (*search.values, *folder_values, *parents),
    )
    sign = 1 if search.direction == "ASC" else -1
    found: list[tuple[float, int]] = []
    for folder_id, first_score in folders:
        if len(found) == count and sign * first_score > found[-1][0]:
            break
        rows = search.snapshot.execute(
            f"{_of_folder(search, 's.score, s.id', '?')} LIMIT ?", (folder_id, *search.values, count)
        )
        of_folder = ((sign * score, number) for score, number in rows)
        found = list(islice(heapq.merge(found, of_folder), count))
    return [number for _, number in found]


def _of_folder(search: _Search, columns: str, folder: str) -> str:
    """Return the query for the scores of one folder in index order; read lazily, it reads little."""
    return (
        f"SELECT {columns} FROM scores s CROSS JOIN photos p ON p.id = s.photo_id"
        f" WHERE s.folder_id = {folder} AND {search.where} {search.order}"
    )
