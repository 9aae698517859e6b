"""Leases: work that a worker holds, renewed while it lives and taken back when it does not answer."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from maclip_daemon.library import moments, paths
from maclip_daemon.library.tables import FOLDERS, JOBS, PHOTOS

CLOCK_SLACK_S = 1.0  # NTP nudges a clock back by less; only a larger step counts as set back


def ready_at(moment: str) -> dict[str, Any]:
    """Give the columns of a job that nobody holds any more, due at once.

    What was leased was due. If the clock was set back meanwhile, its due time may lie in the future now.
    """
    return {
        "state": "ready",
        "worker": None,
        "lease_until": None,
        "not_before": func.min(JOBS.c.not_before, moment),
        "changed_at": moment,
    }


def renew(session: Session, worker: str, now: float, lease_s: float) -> int:
    """Hold all leases of `worker` for another `lease_s` seconds; how many it still has."""
    renewed = session.execute(
        update(JOBS)
        .where(JOBS.c.state == "leased", JOBS.c.worker == worker)
        .values(lease_until=moments.text(now + lease_s), changed_at=moments.text(now))
        .returning(JOBS.c.id)
    )
    return len(renewed.all())


def held_paths(session: Session, kind: str) -> list[str]:
    """Give the photos whose jobs of this kind are leased: what a killed program may have had in hand."""
    held = (
        select(FOLDERS.c.path, PHOTOS.c.file_name)
        .join_from(JOBS, PHOTOS, PHOTOS.c.id == JOBS.c.photo_id)
        .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
        .where(JOBS.c.state == "leased", JOBS.c.kind == kind)
    )
    return [paths.join(folder, name) for folder, name in session.execute(held)]


def release_all(session: Session, worker: str | None, now: float) -> int:
    """Return all that `worker` holds, no attempt counted; how many that was.

    None: all that anybody holds. The one daemon of a data folder does so at its start: what was in hand
    when its predecessor was killed is due at once.
    """
    held = JOBS.c.state == "leased"
    if worker is not None:
        held &= JOBS.c.worker == worker
    released = session.execute(
        update(JOBS).where(held).values(ready_at(moments.text(now))).returning(JOBS.c.id)
    )
    return len(released.all())


def reclaim_expired(session: Session, now: float, lease_s: float) -> int:
    """Take back work whose lease ran out, and mend what a clock set back would stall; how many were taken.

    No attempt is counted: a killed program says nothing about the photo it had in hand. A retry pause that
    was set "in the future" is due now, and a lease that lasts longer than any lease can is cut to `lease_s`
    (not taken back: its worker may well be alive).
    """
    moment = moments.text(now)
    expired = session.execute(
        update(JOBS)
        .where(JOBS.c.state == "leased", JOBS.c.lease_until <= moment)
        .values(ready_at(moment))
        .returning(JOBS.c.id)
    )
    taken = len(expired.all())
    future = moments.text(now + CLOCK_SLACK_S)
    session.execute(
        update(JOBS)
        .where(JOBS.c.state == "ready", JOBS.c.not_before > moment, JOBS.c.changed_at > future)
        .values(not_before=moment, changed_at=moment)
    )
    session.execute(
        update(JOBS)
        .where(JOBS.c.state == "leased", JOBS.c.lease_until > moments.text(now + lease_s + CLOCK_SLACK_S))
        .values(lease_until=moments.text(now + lease_s), changed_at=moment)
    )
    return taken
