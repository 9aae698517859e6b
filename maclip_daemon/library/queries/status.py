"""How far the work is, for `maclip status`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from maclip_daemon.library.storage import stored_paths
from maclip_daemon.library.storage.open_readonly import Reader


@dataclass(frozen=True)
class Status:
    """How far the work is."""

    photos: dict[str, int]
    """By state: waiting, scored, failed, missing."""
    jobs: dict[str, dict[str, int]]
    """By kind (score, rate), then state (ready, leased, dead)."""
    roots: list[dict[str, Any]]
    """path, state, reason, file_system, scanned_at."""
    scoring_config: dict[str, str] | None
    """metric, model, protocol of the active scoring configuration."""
    calibration: dict[str, Any] | None
    """number, source, photo_count, made_at, edges."""
    ratings: dict[str, int]
    """By owner: maclip, person."""
    unsettled_writes: int
    """Journal entries that a killed program left; the next start settles them."""
    notes: dict[str, Any]
    """What the daemon left to say, by key."""


def status(reader: Reader) -> Status:
    """Count how far the work is."""
    photos = dict.fromkeys(("waiting", "scored", "failed", "missing"), 0)
    photos.update(reader.execute("SELECT state, count(*) FROM photos GROUP BY state").fetchall())
    jobs = {kind: dict.fromkeys(("ready", "leased", "dead"), 0) for kind in ("score", "rate")}
    for kind, state, number in reader.execute("SELECT kind, state, count(*) FROM jobs GROUP BY kind, state"):
        jobs[kind][state] = number
    ratings = {"maclip": 0, "person": 0}
    ratings.update(
        reader.execute(
            "SELECT rating_owner, count(*) FROM photos WHERE rating_owner <> 'none' GROUP BY rating_owner"
        ).fetchall()
    )
    (unsettled,) = reader.execute("SELECT count(*) FROM rating_journal WHERE state = 'intended'").fetchone()
    return Status(
        photos=photos,
        jobs=jobs,
        roots=_roots(reader),
        scoring_config=_scoring_config(reader),
        calibration=_calibration(reader),
        ratings=ratings,
        unsettled_writes=unsettled,
        notes=notes(reader),
    )


def notes(reader: Reader) -> dict[str, Any]:
    """Give what the daemon left to say, by key."""
    return {key: json.loads(value) for key, value in reader.execute("SELECT key, value FROM notes")}


def _roots(reader: Reader) -> list[dict[str, Any]]:
    columns = ("path", "state", "reason", "file_system", "scanned_at")
    rows = reader.execute(f"SELECT {', '.join(columns)} FROM roots ORDER BY path")
    return [{**dict(zip(columns, row, strict=True)), "path": stored_paths.restored(row[0])} for row in rows]


def _scoring_config(reader: Reader) -> dict[str, str] | None:
    row = reader.execute("SELECT metric, model, protocol FROM scoring_configs WHERE active = 1").fetchone()
    return None if row is None else dict(zip(("metric", "model", "protocol"), row, strict=True))


def _calibration(reader: Reader) -> dict[str, Any] | None:
    row = reader.execute(
        "SELECT number, source, photo_count, made_at, two_stars_from, three_stars_from, four_stars_from,"
        " five_stars_from FROM calibrations"
        " WHERE scoring_config_id = (SELECT id FROM scoring_configs WHERE active = 1)"
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
