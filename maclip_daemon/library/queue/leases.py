"""Leases: work that a worker holds, renewed while it lives and taken back when it does not answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, exists, func, select, update
from sqlalchemy.orm import Session

from maclip_daemon.library.storage import stored_paths, timestamps
from maclip_daemon.library.storage.photo_paths import locations_of
from maclip_daemon.library.storage.tables import AGAIN, FOLDERS, JOBS, PHOTOS

Kind = Literal["score", "rate"]
CLOCK_SLACK_S = 1.0  # NTP nudges a clock back by less; only a larger step counts as set back


@dataclass(frozen=True)
class LeasedJob:
    """A job that a worker holds. `lease_number` and `generation` show whether the lease still counts."""

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
    is_again: bool = False
    """Whether it is scored again because another model scored it before."""


def lease(
    session: Session,
    kind: Kind,
    worker: str,
    now: float,
    lease_s: float,
    limit: int,
    *,
    paused_devices: Sequence[int] = (),
) -> list[LeasedJob]:
    """Lease up to `limit` due jobs for `lease_s` seconds; return them by priority, the longest waiting first.

    Photos on `paused_devices` are left for later. The jobs of a full disk are the oldest: without this they
    would be leased again and again before all others.
    """
    due = (
        select(JOBS.c.id)
        .where(JOBS.c.kind == kind, JOBS.c.state == "ready", JOBS.c.not_before <= timestamps.text(now))
        .order_by(JOBS.c.priority, JOBS.c.not_before, JOBS.c.id)
        .limit(limit)
    )
    if paused_devices:
        due = due.where(~is_on_devices(paused_devices))
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
    places = locations_of(session, [row.photo_id for row in taken])
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
            row.priority == AGAIN,
        )
        for row in sorted(taken, key=lambda row: (row.priority, row.not_before, row.id))
    ]


_LEASED = ("id", "photo_id", "attempts", "generation", "lease_number", "not_before", "priority")


def is_on_devices(devices: Sequence[int]) -> ColumnElement[bool]:
    """Return the condition that a job's photo is on one of these devices."""
    return exists().where(PHOTOS.c.id == JOBS.c.photo_id, PHOTOS.c.device.in_(devices))


def ready_at(moment: str) -> dict[str, Any]:
    """Return the columns of a job that nobody holds any more, due at once.

    A leased job was due. After a clock was set back, its due time may lie in the future.
    """
    return {
        "state": "ready",
        "worker": None,
        "lease_until": None,
        "not_before": func.min(JOBS.c.not_before, moment),
        "changed_at": moment,
    }


def renew(session: Session, worker: str, now: float, lease_s: float) -> int:
    """Extend all leases of `worker` by `lease_s` seconds from now; return how many it still has."""
    renewed = session.execute(
        update(JOBS)
        .where(JOBS.c.state == "leased", JOBS.c.worker == worker)
        .values(lease_until=timestamps.text(now + lease_s), changed_at=timestamps.text(now))
        .returning(JOBS.c.id)
    )
    return len(renewed.all())


def held_paths(session: Session, kind: str) -> list[str]:
    """Return the paths of photos with a leased job of this kind: a killed program may have left files."""
    held = (
        select(FOLDERS.c.path, PHOTOS.c.file_name)
        .join_from(JOBS, PHOTOS, PHOTOS.c.id == JOBS.c.photo_id)
        .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
        .where(JOBS.c.state == "leased", JOBS.c.kind == kind)
    )
    return [stored_paths.join(folder, name) for folder, name in session.execute(held)]


def release_all(session: Session, worker: str | None, now: float) -> int:
    """Release all leases of `worker` (None: of everyone) without counting an attempt; return their number.

    The one daemon of a data folder does so at its start: the jobs of a killed predecessor are due at once.
    """
    held = JOBS.c.state == "leased"
    if worker is not None:
        held &= JOBS.c.worker == worker
    released = session.execute(
        update(JOBS).where(held).values(ready_at(timestamps.text(now))).returning(JOBS.c.id)
    )
    return len(released.all())


def reclaim_expired(session: Session, now: float, lease_s: float) -> int:
    """Take back jobs whose lease ran out; return their number.

    No attempt is counted: a killed program proves nothing about its photo. After a clock was set back, a
    retry pause that began "in the future" ends now. A lease longer than any lease is cut to `lease_s`, not
    taken back: its worker may be alive.
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
