"""Progress of the work and notes of the daemon, for `maclip status`."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from maclip_daemon.library.queries.other_libraries import SharedFolder, shared_folders
from maclip_daemon.library.storage import stored_paths, timestamps
from maclip_daemon.library.storage.sql_views import ACTIVE_CONFIG


@dataclass(frozen=True)
class Retry:
    """Jobs that failed for one reason and are tried again."""

    kind: str
    """"score" or "rate"."""
    reason: str
    job_count: int
    next_try: float
    """Unix seconds of the earliest; in the past: it is due."""


@dataclass(frozen=True)
class WaitingDecisions:
    """Decisions of the review page that are not written yet, for one reason."""

    reason: str
    decision_count: int
    since: float
    """Unix seconds of the oldest."""


@dataclass(frozen=True)
class Status:
    """Progress of the work."""

    photos: dict[str, int]
    """By state: waiting, scored, failed, missing."""
    jobs: dict[str, dict[str, int]]
    """By kind (score, rate), then state (ready, leased, dead)."""
    retries: list[Retry]
    """The reasons of most jobs first."""
    decisions: list[WaitingDecisions]
    """The reasons of most decisions first."""
    roots: list[dict[str, Any]]
    """path, state, reason, file_system, scanned_at."""
    scoring_config: dict[str, str] | None
    """metric, model, protocol of the active scoring configuration."""
    scored_again: dict[str, int] | None
    """left, done: photos that another model had scored; None while none is left."""
    calibration: dict[str, Any] | None
    """number, source, photo_count, made_at, edges."""
    ratings: dict[str, int]
    """By owner: maclip, person."""
    unsettled_writes: int
    """Journal entries of a killed program; the next start settles them."""
    notes: dict[str, Any]
    """Notes of the daemon, by key."""
    shared_folders: list[SharedFolder]
    """Folders in which another library rates photos too."""


def status(snapshot: sqlite3.Connection) -> Status:
    """Return the progress of the work."""
    photos = dict.fromkeys(("waiting", "scored", "failed", "missing"), 0)
    photos.update(snapshot.execute("SELECT state, count(*) FROM photos GROUP BY state").fetchall())
    jobs = {kind: dict.fromkeys(("ready", "leased", "dead"), 0) for kind in ("score", "rate")}
    for kind, state, number in snapshot.execute(
        "SELECT kind, state, count(*) FROM jobs GROUP BY kind, state"
    ):
        jobs[kind][state] = number
    ratings = {"maclip": 0, "person": 0}
    ratings.update(
        snapshot.execute(
            "SELECT rating_owner, count(*) FROM photos WHERE rating_owner <> 'none' GROUP BY rating_owner"
        ).fetchall()
    )
    (unsettled,) = snapshot.execute("SELECT count(*) FROM rating_journal WHERE state = 'intended'").fetchone()
    return Status(
        photos=photos,
        jobs=jobs,
        retries=_retries(snapshot),
        decisions=_decisions(snapshot),
        roots=_roots(snapshot),
        scoring_config=_scoring_config(snapshot),
        scored_again=_scored_again(snapshot),
        calibration=_calibration(snapshot),
        ratings=ratings,
        unsettled_writes=unsettled,
        notes=notes(snapshot),
        shared_folders=shared_folders(snapshot),
    )


PASSED_OVER_NOTE = "passed_over:"
"""Notes with this beginning tell what the last scan of a root passed over (`folders.passed_over`)."""


def notes(snapshot: sqlite3.Connection) -> dict[str, Any]:
    """Return the notes of the daemon, by key."""
    rows = snapshot.execute("SELECT key, value FROM notes WHERE key <> 'library'")  # the library's own id
    return {key: json.loads(value) for key, value in rows}


def _retries(snapshot: sqlite3.Connection) -> list[Retry]:
    rows = snapshot.execute(
        "SELECT kind, coalesce(reason, ''), count(*), min(not_before) FROM jobs"
        " WHERE state = 'ready' AND attempts > 0 GROUP BY kind, reason ORDER BY 3 DESC, 4, 1, 2"
    )
    return [Retry(kind, reason, number, timestamps.seconds(due)) for kind, reason, number, due in rows]


def _decisions(snapshot: sqlite3.Connection) -> list[WaitingDecisions]:
    """Return what waits by its reason, without the photo that the reason begins with."""
    rows = snapshot.execute(
        "SELECT f.path, p.file_name, d.reason, d.decided_at FROM decisions d"
        " JOIN photos p ON p.id = d.photo_id JOIN folders f ON f.id = p.folder_id"
        " WHERE d.state = 'waiting' ORDER BY d.id DESC"
    )
    found: dict[str, WaitingDecisions] = {}
    for folder, name, reason, decided_at in rows:
        path = stored_paths.join(folder, name)
        shared = (reason or "").removeprefix(f"{path}: ")
        known = found.get(shared)
        count = 1 if known is None else known.decision_count + 1
        found[shared] = WaitingDecisions(shared, count, timestamps.seconds(decided_at))
    return sorted(found.values(), key=lambda each: -each.decision_count)


def _roots(snapshot: sqlite3.Connection) -> list[dict[str, Any]]:
    columns = ("path", "state", "reason", "file_system", "scanned_at")
    rows = snapshot.execute(f"SELECT {', '.join(columns)} FROM roots ORDER BY path")
    return [{**dict(zip(columns, row, strict=True)), "path": stored_paths.restored(row[0])} for row in rows]


def _scoring_config(snapshot: sqlite3.Connection) -> dict[str, str] | None:
    row = snapshot.execute("SELECT metric, model, protocol FROM scoring_configs WHERE active = 1").fetchone()
    return None if row is None else dict(zip(("metric", "model", "protocol"), row, strict=True))


def _scored_again(snapshot: sqlite3.Connection) -> dict[str, int] | None:
    (left,) = snapshot.execute(
        "SELECT count(*) FROM jobs WHERE kind = 'score' AND state IN ('ready', 'leased') AND priority = 1"
    ).fetchone()
    if not left:
        return None
    (done,) = snapshot.execute(
        f"SELECT count(*) FROM scores s WHERE s.scoring_config_id = {ACTIVE_CONFIG} AND EXISTS (SELECT 1"
        " FROM scores f WHERE f.photo_id = s.photo_id AND f.scoring_config_id <> s.scoring_config_id)"
    ).fetchone()
    return {"left": left, "done": done}


def _calibration(snapshot: sqlite3.Connection) -> dict[str, Any] | None:
    row = snapshot.execute(
        "SELECT number, source, photo_count, made_at, two_stars_from, three_stars_from, four_stars_from,"
        f" five_stars_from FROM calibrations WHERE scoring_config_id = {ACTIVE_CONFIG}"
        " ORDER BY number DESC LIMIT 1"
    ).fetchone()
    if row is None:
        return None
    number, source, photo_count, made_at, *edges = row
    return {
        "number": number,
        "source": source,
        "photo_count": photo_count,
        "made_at": made_at,
        "edges": edges,
    }
