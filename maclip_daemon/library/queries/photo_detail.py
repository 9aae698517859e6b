"""One photo in full, for `maclip show`."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from maclip_daemon.library.queries.photo_rows import PhotoRow, photo_row
from maclip_daemon.library.storage import stored_paths
from maclip_daemon.library.storage.sql_views import ACTIVE_CONFIG, QUALITY_ROWS


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
        quality=None if quality is None else photo_row(quality),
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
