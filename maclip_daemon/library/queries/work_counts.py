"""Counts of the work, for those who watch the daemon: cheap enough to be asked every few seconds."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from maclip_daemon.library.storage import timestamps


@dataclass(frozen=True)
class WorkCounts:
    """Photos, jobs and roots, counted."""

    photos: dict[str, int]
    """By state: waiting, scored, failed, missing."""
    jobs: dict[tuple[str, str], int]
    """By kind (score, rate) and state (ready, leased, dead)."""
    oldest_job_s: dict[str, float]
    """Seconds that the job which waits longest is due, by kind; 0 without one."""
    roots: dict[str, int]
    """Watched folders, by state."""


def work_counts(snapshot: sqlite3.Connection, now: float) -> WorkCounts:
    """Return the counts at `now` (Unix seconds)."""
    photos = dict.fromkeys(("waiting", "scored", "failed", "missing"), 0)
    photos.update(snapshot.execute("SELECT state, count(*) FROM photos GROUP BY state").fetchall())
    jobs = {(kind, state): 0 for kind in ("score", "rate") for state in ("ready", "leased", "dead")}
    oldest = {"score": 0.0, "rate": 0.0}
    rows = snapshot.execute("SELECT kind, state, count(*), min(not_before) FROM jobs GROUP BY kind, state")
    for kind, state, number, due in rows:
        jobs[kind, state] = number
        if state == "ready":
            oldest[kind] = max(0.0, now - timestamps.seconds(due))
    roots = dict(snapshot.execute("SELECT state, count(*) FROM roots GROUP BY state").fetchall())
    return WorkCounts(photos, jobs, oldest, roots)
