"""Rankings and reports: the worst and best photos, one photo in full, failures.

Every function takes a `snapshot` of a library (`Library.snapshot`, `ReadOnlyLibrary.snapshot`).
"""

from __future__ import annotations

import heapq
import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from maclip_daemon.library.storage import stored_paths
from maclip_daemon.library.storage.sql_views import (
    ACTIVE_CONFIG,
    FAILURE_ROWS,
    QUALITY_OF_SCORES,
    QUALITY_ROWS,
)


@dataclass(frozen=True)
class PhotoRow:
    """A row of `photo_quality`."""

    path: str
    folder: str
    file_name: str
    score: float
    percentile: float | None
    stars: int | None
    q_sim: float | None
    q_mag: float | None
    good: float | None
    sharpness: float | None
    edges: float | None
    resolution: float | None
    noise_free: float | None
    view_spread: float | None
    metric: str
    model: str
    protocol: str
    width: int | None
    height: int | None
    taken_at: str | None
    scored_at: str
    state: str
    rating_in_file: int | None
    rating_owner: str
    my_stars: int | None
    """-1 to 5 where a person rated the photo; None where nobody did."""
    is_picked: bool
    camera: str | None
    lens: str | None
    burst_id: int | None
    burst_kind: str | None
    burst_rank: int | None
    is_best_of_burst: int | None
    overall_score: float | None
    detail_score: float | None
    focus: float | None
    motion: float | None
    motion_direction: float | None
    noise: float | None
    clipped_highlights: float | None
    clipped_shadows: float | None
    contrast: float | None
    jpeg_damage: float | None
    true_megapixels: float | None
    reasons: str | None
    """At most three, the strongest first, with "; " between."""


@dataclass(frozen=True)
class FormerScore:
    """A photo's last score in another scoring configuration, for a photo that waits to be scored again."""

    score: float
    metric: str
    model: str
    protocol: str
    scored_at: str


@dataclass(frozen=True)
class PhotoDetail:
    """All that the library knows of one photo."""

    path: str
    state: str
    quality: PhotoRow | None
    """None: not scored in the active scoring configuration."""
    details: dict[str, Any]
    measured: dict[str, Any]
    """How sure each measured quality is, and where the focus lies; empty where nothing was measured."""
    views: int | None
    precision: str | None
    device: str | None
    width: int | None
    height: int | None
    taken_at: str | None
    first_seen_at: str
    missing_since: str | None
    rating_in_file: int | None
    rating_owner: str
    stars_written: int | None
    """The rating last written to its file."""
    failure: str | None
    """Why the last attempt on it failed."""
    attempts: int
    former_score: FormerScore | None = None
    """None: it has a score in the active scoring configuration, or never had one."""


@dataclass(frozen=True)
class GivenUpPhoto:
    """A photo with a dead job."""

    path: str
    reason: str
    attempts: int
    failed_at: str
    kind: str
    """What went wrong, in words without a path, to count by."""


LOOK_AHEAD = 500  # scores read in order before asking folder by folder; about a millisecond


def worst(
    snapshot: sqlite3.Connection, count: int, under: str | None = None, *, one_a_burst: bool = False
) -> list[PhotoRow]:
    """Return the photos with the lowest scores, lowest first (below the folder `under`).

    Missing and failed photos, and those that wait to be scored again, are left out. `one_a_burst`: of a burst
    or of duplicates only the lowest; brackets, panoramas, stacks and time lapses are never weak.
    """
    if not one_a_burst:
        return _by_score(snapshot, count, under, "ASC")
    return _one_a_burst(snapshot, count, under, "ASC")


def best(
    snapshot: sqlite3.Connection, count: int, under: str | None = None, *, one_a_burst: bool = False
) -> list[PhotoRow]:
    """Return the photos with the highest scores, highest first (below the folder `under`).

    `one_a_burst`: of photos of one moment only the highest.
    """
    if not one_a_burst:
        return _by_score(snapshot, count, under, "DESC")
    return _one_a_burst(snapshot, count, under, "DESC")


def _one_a_burst(snapshot: sqlite3.Connection, count: int, under: str | None, order: str) -> list[PhotoRow]:
    asked = count
    while True:
        rows = _by_score(snapshot, asked, under, order)
        seen: set[int] = set()
        chosen = []
        for row in rows:
            if row.burst_id in seen or (order == "ASC" and row.burst_kind in WHOLE_KINDS):
                continue
            chosen.append(row)
            if row.burst_id is not None:
                seen.add(row.burst_id)
        if len(chosen) >= count or len(rows) < asked:
            return chosen[:count]
        asked *= 4


WHOLE_KINDS = frozenset({"bracket", "panorama", "focus stack", "time lapse"})


def _by_score(snapshot: sqlite3.Connection, count: int, under: str | None, order: str) -> list[PhotoRow]:
    if under is None:
        rows = snapshot.execute(
            f"{QUALITY_ROWS} AND p.state = 'scored' ORDER BY s.score {order}, s.id LIMIT ?", (count,)
        )
        return [_photo_row(row) for row in rows]
    chosen = _first_under(snapshot, count, under, order)
    marks = ", ".join("?" * len(chosen))
    rows = snapshot.execute(
        f"{QUALITY_OF_SCORES} WHERE s.id IN ({marks}) ORDER BY s.score {order}, s.id", chosen
    )
    return [_photo_row(row) for row in rows]


def _first_under(snapshot: sqlite3.Connection, count: int, under: str, order: str) -> list[int]:
    """Return the ids of the first `count` scores below a folder, without reading all of them."""
    condition, values = is_under("f.path", under)
    ahead = snapshot.execute(
        "SELECT s.id FROM (SELECT id, photo_id, folder_id FROM scores"
        f" WHERE scoring_config_id = {ACTIVE_CONFIG} ORDER BY score {order}, id LIMIT {LOOK_AHEAD}) s"
        " CROSS JOIN folders f ON f.id = s.folder_id CROSS JOIN photos p ON p.id = s.photo_id"
        f" WHERE p.state = 'scored' AND {condition}",
        values,
    )
    found = [number for (number,) in islice(ahead, count)]  # row by row: it stops at the last one
    if len(found) == count:
        return found
    # A folder can only add to the result when its own first score would: so the folders are asked in the
    # order of their first scores, until the first of the next comes after all that were found.
    sign = 1 if order == "ASC" else -1
    first = _of_folder("s.score", "s.folder_id = f.id", order)
    folders = snapshot.execute(
        f"SELECT id, first FROM (SELECT f.id AS id, ({first} LIMIT 1) AS first FROM folders f"
        f" WHERE {condition}) WHERE first IS NOT NULL ORDER BY first {order}",
        values,
    )
    best_so_far: list[tuple[float, int]] = []
    for folder_id, first_score in folders:
        if len(best_so_far) == count and sign * first_score > best_so_far[-1][0]:
            break
        within = snapshot.execute(
            f"{_of_folder('s.score, s.id', 's.folder_id = ?', order)} LIMIT ?", (folder_id, count)
        )
        of_folder = ((sign * score, number) for score, number in within)
        best_so_far = list(islice(heapq.merge(best_so_far, of_folder), count))
    return [number for _, number in best_so_far]


def _of_folder(columns: str, which: str, order: str) -> str:
    """Return the query for the scores of one folder in index order; read lazily, it reads little."""
    return (
        f"SELECT {columns} FROM scores s CROSS JOIN photos p ON p.id = s.photo_id"
        f" WHERE s.scoring_config_id = {ACTIVE_CONFIG} AND {which} AND p.state = 'scored'"
        f" ORDER BY s.score {order}, s.id"
    )


def is_under(column: str, under: str) -> tuple[str, list[stored_paths.StoredPath]]:
    """Return the SQL condition that a folder's path is `under` or below it, and its values."""
    folder = stored_paths.without_trailing_slash(under)
    conditions, values = [f"{column} = ?"], [stored_paths.stored(folder)]
    for first, end in stored_paths.ranges_under(folder):
        conditions.append(f"{column} >= ? AND {column} < ?")
        values += [first, end]
    return f"({' OR '.join(conditions)})", values


def _photo_row(row: Sequence[Any]) -> PhotoRow:
    path, folder, file_name, *rest = row
    return PhotoRow(
        stored_paths.restored(path), stored_paths.restored(folder), stored_paths.restored(file_name), *rest
    )


def show(snapshot: sqlite3.Connection, path: str) -> PhotoDetail | None:
    """Return all that is known of the photo at `path`; None: it is not in the library."""
    folder, name = stored_paths.split(path)
    photo = snapshot.execute(
        "SELECT p.id, p.state, p.width, p.height, p.taken_at, p.first_seen_at, p.missing_since,"
        " p.rating_in_file, p.rating_owner, p.stars_written"
        " FROM folders f JOIN photos p ON p.folder_id = f.id WHERE f.path = ? AND p.file_name = ?",
        (stored_paths.stored(folder), stored_paths.stored(name)),
    ).fetchone()
    if photo is None:
        return None
    photo_id, state, width, height, taken_at, first_seen_at, missing_since, rating, owner, stars = photo
    quality = snapshot.execute(f"{QUALITY_ROWS} AND s.photo_id = ?", (photo_id,)).fetchone()
    beside = snapshot.execute(
        "SELECT details, views, precision, device FROM scores"
        f" WHERE photo_id = ? AND scoring_config_id = {ACTIVE_CONFIG}",
        (photo_id,),
    ).fetchone() or (None, None, None, None)
    measured = snapshot.execute("SELECT details FROM measures WHERE photo_id = ?", (photo_id,)).fetchone()
    failure = snapshot.execute(
        "SELECT reason, attempts FROM jobs WHERE photo_id = ? ORDER BY state = 'dead' DESC LIMIT 1",
        (photo_id,),
    ).fetchone() or (None, 0)
    return PhotoDetail(
        path=path,
        state=state,
        quality=None if quality is None else _photo_row(quality),
        details=json.loads(beside[0]) if beside[0] else {},
        measured=json.loads(measured[0]) if measured is not None and measured[0] else {},
        views=beside[1],
        precision=beside[2],
        device=beside[3],
        width=width,
        height=height,
        taken_at=taken_at,
        first_seen_at=first_seen_at,
        missing_since=missing_since,
        rating_in_file=rating,
        rating_owner=owner,
        stars_written=stars,
        failure=failure[0],
        attempts=failure[1],
        former_score=None if quality is not None else _former_score(snapshot, photo_id),
    )


def _former_score(snapshot: sqlite3.Connection, photo_id: int) -> FormerScore | None:
    row = snapshot.execute(
        "SELECT s.score, m.metric, m.model, m.protocol, s.scored_at FROM scores s"
        " JOIN scoring_configs m ON m.id = s.scoring_config_id"
        " WHERE s.photo_id = ? ORDER BY s.scored_at DESC LIMIT 1",
        (photo_id,),
    ).fetchone()
    return None if row is None else FormerScore(*row)


def failures(
    snapshot: sqlite3.Connection, limit: int | None = None, under: str | None = None
) -> Iterator[GivenUpPhoto]:
    """Yield the photos with a dead job (below the folder `under`), the latest first."""
    condition, values = ("1", []) if under is None else is_under("f.path", under)
    rows = snapshot.execute(
        f"{FAILURE_ROWS} AND {condition} ORDER BY j.changed_at DESC, j.id DESC LIMIT ?",
        (*values, -1 if limit is None else limit),
    )
    for path, *rest in rows:
        yield GivenUpPhoto(stored_paths.restored(path), *rest)


def rating_problems(snapshot: sqlite3.Connection, limit: int | None = None) -> list[tuple[str, str]]:
    """Return photos whose rating could not be written, with the reasons."""
    rows = snapshot.execute(
        "SELECT f.path, p.file_name, p.rating_problem FROM photos p JOIN folders f ON f.id = p.folder_id"
        " WHERE p.rating_problem IS NOT NULL AND p.state <> 'missing' LIMIT ?",
        (-1 if limit is None else limit,),
    )
    return [(stored_paths.join(folder, name), problem) for folder, name, problem in rows]
