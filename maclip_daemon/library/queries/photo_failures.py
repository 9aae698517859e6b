"""Photos that could not be scored or rated, with the reasons."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from maclip_daemon.library.queries.finding.folder_ranges import is_under
from maclip_daemon.library.storage import stored_paths
from maclip_daemon.library.storage.sql_views import FAILURE_ROWS


@dataclass(frozen=True)
class GivenUpPhoto:
    """A photo with a dead job."""

    path: str
    reason: str
    attempts: int
    failed_at: str
    kind: str
    """What went wrong, in words without a path, to count by."""


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
