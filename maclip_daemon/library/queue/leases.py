"""Leases: work that a worker holds, renewed while it lives and taken back when it does not answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, exists, func, select, update
from sqlalchemy.orm import Session

from maclip_daemon.library.storage import stored_paths, timestamps
from maclip_daemon.library.storage.photo_paths import files_of
from maclip_daemon.library.storage.tables import FOLDERS, JOBS, PHOTOS

Kind = Literal["score", "rate"]
CLOCK_SLACK_S = 1.0  # NTP nudges a clock back by less; only a larger step counts as set back


@dataclass(frozen=True)
class LeasedJob:
    """Work in hand. `lease_number` and `generation` say whether it is still ours when it ends."""

    id: int
    photo_id: int
    kind: Kind
    path: str
    attempts: int
    """Failed attempts before this one."""
    generation: int
    lease_number: int
    device: int
    """The file system of the photo, as it was last seen."""


def lease(
    session: Session,
    kind: Kind,
    worker: str,
    now: float,
    lease_s: float,
    limit: int,
    *,
    resting_devices: Sequence[int] = (),
) -> list[LeasedJob]:
    """Take up to `limit` due jobs, the longest waiting first, and hold them for `lease_s` seconds.

    `resting_devices`: file systems whose photos are left for later; without this, the jobs of a full disk,
    which are the oldest, would be taken again and again before all others.
    """
    due = _due(kind, timestamps.text(now), resting_devices).limit(limit)
    taken = session.execute(
        update(JOBS)
        .where(JOBS.c.id.in_(due))
        .values(
            state="leased",
            worker=worker,
            lease_until=timestamps.text(now + lease_s),
            changed_at=timestamps.text(now),
            lease_number=JOBS.c.lease_number + 1,
        )
        .returning(*(JOBS.c[name] for name in _LEASED))
    ).all()
    places = files_of(session, [row.photo_id for row in taken])
    return [
        LeasedJob(
            row.id,
            row.photo_id,
            kind,
            places[row.photo_id].path,
            row.attempts,
            row.generation,
            row.lease_number,
            places[row.photo_id].device,
        )
        for row in sorted(taken, key=lambda row: (row.not_before, row.id))
    ]


_LEASED = ("id", "photo_id", "attempts", "generation", "lease_number", "not_before")


def _due(kind: Kind, moment: str, resting_devices: Sequence[int]) -> Select[int]:
    due = (
        select(JOBS.c.id)
        .where(JOBS.c.kind == kind, JOBS.c.state == "ready", JOBS.c.not_before <= moment)
        .order_by(JOBS.c.not_before, JOBS.c.id)
    )
    return due.where(~rests_on(resting_devices)) if resting_devices else due


def rests_on(devices: Sequence[int]) -> ColumnElement[bool]:
    """Give the condition that a job's photo is on one of these file systems."""
    return exists().where(PHOTOS.c.id == JOBS.c.photo_id, PHOTOS.c.device.in_(devices))


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
        .values(lease_until=timestamps.text(now + lease_s), changed_at=timestamps.text(now))
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
    return [stored_paths.join(folder, name) for folder, name in session.execute(held)]


def release_all(session: Session, worker: str | None, now: float) -> int:
    """Return all that `worker` holds, no attempt counted; how many that was.

    None: all that anybody holds. The one daemon of a data folder does so at its start: what was in hand
    when its predecessor was killed is due at once.
    """
    held = JOBS.c.state == "leased"
    if worker is not None:
        held &= JOBS.c.worker == worker
    released = session.execute(
        update(JOBS).where(held).values(ready_at(timestamps.text(now))).returning(JOBS.c.id)
    )
    return len(released.all())


def reclaim_expired(session: Session, now: float, lease_s: float) -> int:
    """Take back work whose lease ran out, and mend what a clock set back would stall; how many were taken.

    No attempt is counted: a killed program says nothing about the photo it had in hand. A retry pause that
    was set "in the future" is due now, and a lease that lasts longer than any lease can is cut to `lease_s`
    (not taken back: its worker may well be alive).
    """
    moment = timestamps.text(now)
    expired = session.execute(
        update(JOBS)
        .where(JOBS.c.state == "leased", JOBS.c.lease_until <= moment)
        .values(ready_at(moment))
        .returning(JOBS.c.id)
    )
    taken = len(expired.all())
    future = timestamps.text(now + CLOCK_SLACK_S)
    session.execute(
        update(JOBS)
        .where(JOBS.c.state == "ready", JOBS.c.not_before > moment, JOBS.c.changed_at > future)
        .values(not_before=moment, changed_at=moment)
    )
    session.execute(
        update(JOBS)
        .where(JOBS.c.state == "leased", JOBS.c.lease_until > timestamps.text(now + lease_s + CLOCK_SLACK_S))
        .values(lease_until=timestamps.text(now + lease_s), changed_at=moment)
    )
    return taken
