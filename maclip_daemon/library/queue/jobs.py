"""The queue: at least once, idempotent, with leases, growing pauses and a dead letter.

One row a photo and kind; finished work has none. The clock is an argument (unix seconds), and one that was
set back never makes a job wait longer than it should (`leases.reclaim_expired`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import and_, bindparam, case, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from maclip_daemon.library.queue.leases import Kind as Kind
from maclip_daemon.library.queue.leases import LeasedJob as LeasedJob
from maclip_daemon.library.queue.leases import lease as lease
from maclip_daemon.library.queue.leases import ready_at, rests_on
from maclip_daemon.library.storage import timestamps
from maclip_daemon.library.storage.photo_paths import ids_at, path_of
from maclip_daemon.library.storage.tables import JOBS, PHOTOS

MAX_PAUSE_S = 3600.0  # a photo that failed for an hour-long reason (a share away) is tried within the next
REASON_LENGTH = 2000  # characters; a traceback in full helps nobody in a table


@dataclass(frozen=True)
class RetryPolicy:
    """How often and after which pauses failed work is tried again (`settings.JobSettings`)."""

    max_attempts: int = 5
    retry_base_s: float = 2.0

    def pause_s(self, attempts: int) -> float:
        """Give the seconds to wait after the n-th failed attempt: base · 2^(n−1), an hour at most."""
        return min(self.retry_base_s * 2.0 ** min(attempts - 1, 40), MAX_PAUSE_S)


@dataclass(frozen=True)
class JobCounts:
    """How much work there is of one kind."""

    ready: int = 0
    """Waiting, the ones in a retry pause included."""
    leased: int = 0
    dead: int = 0


def enqueue(session: Session, photo_id: int, kind: Kind, now: float) -> None:
    """Ask for work on a photo; asking twice is one job.

    If the job is leased at this moment, its generation grows: the worker's `finish` then answers False, and
    the job is ready again. A dead job comes back to life.
    """
    enqueue_all(session, [photo_id], kind, now)


def enqueue_all(session: Session, photo_ids: Iterable[int], kind: Kind, now: float) -> None:
    """Ask for work on many photos (see `enqueue`)."""
    moment = timestamps.text(now)
    row = {"kind": kind, "not_before": moment, "changed_at": moment}
    if rows := [{"photo_id": photo_id, **row} for photo_id in photo_ids]:
        session.execute(_ENQUEUE, rows)


def _on_conflict_ask_again() -> dict[str, object]:
    leased = JOBS.c.state == "leased"
    fresh = _ENQUEUE_INSERT.excluded
    return {
        "generation": JOBS.c.generation + 1,
        "state": case((leased, "leased"), else_="ready"),
        "attempts": case((leased, JOBS.c.attempts), else_=0),
        "not_before": fresh.not_before,
        "reason": None,
        "changed_at": fresh.changed_at,
    }


_ENQUEUE_INSERT = insert(JOBS)
_ENQUEUE = _ENQUEUE_INSERT.on_conflict_do_update(
    index_elements=["photo_id", "kind"], set_=_on_conflict_ask_again()
)


def finish(session: Session, job: LeasedJob, worker: str) -> bool:
    """End a job; True: the result counts, store it in this same transaction.

    False: the lease was lost (another worker has the job or did it), or the photo was asked for again
    meanwhile; then the job is ready again and the result in hand is out of date: drop it.
    """
    key = {"job_id": job.id, "held_by": worker, "held_number": job.lease_number, "held": job.generation}
    if session.execute(_FINISH, key).first() is not None:
        return True
    session.execute(_READY_AGAIN, {key_: key[key_] for key_ in ("job_id", "held_by", "held_number")})
    return False


def finish_all(session: Session, held: Sequence[LeasedJob], worker: str) -> list[bool]:
    """`finish` for many jobs (some thousands at most) in three statements; which results count."""
    rows = {
        row.id: row for row in session.execute(_HELD_NOW, {"worker": worker, "ids": [j.id for j in held]})
    }
    ours = [job for job in held if job.id in rows and rows[job.id].lease_number == job.lease_number]
    counts = {job.id for job in ours if rows[job.id].generation == job.generation}
    if counts:
        session.execute(delete(JOBS).where(JOBS.c.id.in_(counts)))
    for job in ours:
        if job.id not in counts:
            session.execute(
                _READY_AGAIN, {"job_id": job.id, "held_by": worker, "held_number": job.lease_number}
            )
    return [job.id in counts for job in held]


_HELD_NOW = select(JOBS.c.id, JOBS.c.lease_number, JOBS.c.generation).where(
    JOBS.c.id.in_(bindparam("ids", expanding=True)),
    JOBS.c.state == "leased",
    JOBS.c.worker == bindparam("worker"),
)
_HELD = and_(
    JOBS.c.id == bindparam("job_id"),
    JOBS.c.state == "leased",
    JOBS.c.worker == bindparam("held_by"),
    JOBS.c.lease_number == bindparam("held_number"),
)
_FINISH = delete(JOBS).where(_HELD, JOBS.c.generation == bindparam("held")).returning(JOBS.c.id)
# It was due when it was leased; the clock may have been set back since, so it is due whatever the time.
_READY_AGAIN = (
    update(JOBS)
    .where(_HELD)
    .values(
        state="ready", not_before=timestamps.text(0), attempts=0, reason=None, worker=None, lease_until=None
    )
)


def fail(
    session: Session,
    job: LeasedJob,
    worker: str,
    reason: str,
    now: float,
    *,
    poison: bool,
    policy: RetryPolicy,
) -> Literal["retry", "dead", "lost"]:
    """Record a failed attempt.

    "retry": it comes back after a pause. "dead": given up, at once for `poison`, else after
    `policy.max_attempts`; the photo of a score job is then `failed`. "lost": the lease was no longer ours,
    or the photo was asked for again meanwhile; nothing was counted.
    """
    attempts = job.attempts + 1
    dead = poison or attempts >= policy.max_attempts
    moment = timestamps.text(now)
    ended = session.execute(
        update(JOBS)
        .where(_HELD, JOBS.c.generation == bindparam("held"))
        .values(
            state="dead" if dead else "ready",
            attempts=attempts,
            not_before=moment if dead else timestamps.text(now + policy.pause_s(attempts)),
            reason=reason[:REASON_LENGTH].encode("utf-8", "backslashreplace").decode(),
            worker=None,
            lease_until=None,
            changed_at=moment,
        )
        .returning(JOBS.c.id),
        {"job_id": job.id, "held_by": worker, "held_number": job.lease_number, "held": job.generation},
    ).first()
    if ended is None:
        session.execute(_READY_AGAIN, {"job_id": job.id, "held_by": worker, "held_number": job.lease_number})
        return "lost"
    if dead and job.kind == "score":
        session.execute(
            update(PHOTOS)
            .where(PHOTOS.c.id == job.photo_id, PHOTOS.c.state != "missing")
            .values(state="failed")
        )
    return "dead" if dead else "retry"


def release(session: Session, jobs: Iterable[LeasedJob], worker: str, now: float) -> None:
    """Return work untouched, without counting an attempt: the disk is full, or the program ends."""
    for job in jobs:
        session.execute(
            update(JOBS).where(_HELD).values(ready_at(timestamps.text(now))),
            {"job_id": job.id, "held_by": worker, "held_number": job.lease_number},
        )


def next_due(session: Session, kind: Kind) -> float | None:
    """Give the moment (unix seconds) at which the next job is due, past or future; None: nothing waits."""
    earliest = session.execute(
        select(func.min(JOBS.c.not_before)).where(JOBS.c.kind == kind, JOBS.c.state == "ready")
    ).scalar()
    return None if earliest is None else timestamps.seconds(earliest)


def counts(session: Session, kind: Kind, *, resting_devices: Sequence[int] = ()) -> JobCounts:
    """Count the jobs of one kind by their state, those of the photos on `resting_devices` left out."""
    count = select(JOBS.c.state, func.count()).where(JOBS.c.kind == kind).group_by(JOBS.c.state)
    found = session.execute(count.where(~rests_on(resting_devices)) if resting_devices else count)
    return JobCounts(**{state: number for state, number in found})


def place_on_each_device(session: Session, kind: Kind) -> dict[int, str]:
    """Give one photo that waits for work of this kind on each file system, by the number of that."""
    chosen = (
        select(PHOTOS.c.device, func.min(PHOTOS.c.id))
        .join(JOBS, JOBS.c.photo_id == PHOTOS.c.id)
        .where(JOBS.c.kind == kind, JOBS.c.state == "ready")
        .group_by(PHOTOS.c.device)
    )
    waiting = {device: path_of(session, photo_id) for device, photo_id in session.execute(chosen)}
    return {device: path for device, path in waiting.items() if path is not None}


def retry_dead(session: Session, now: float, under: str | None = None) -> int:
    """Give every given-up job (below the folder, or of the file, `under`) a fresh start; how many it were."""
    dead = JOBS.c.state == "dead"
    if under is not None:
        dead = and_(dead, JOBS.c.photo_id.in_(ids_at(under)))
    moment = timestamps.text(now)
    revived = session.execute(
        update(JOBS)
        .where(dead)
        .values(state="ready", attempts=0, reason=None, not_before=moment, changed_at=moment)
        .returning(JOBS.c.photo_id, JOBS.c.kind)
    ).all()
    session.execute(
        update(PHOTOS)
        .where(PHOTOS.c.state == "failed", ~PHOTOS.c.id.in_(_DEAD_SCORE_JOBS))
        .values(state="waiting")
    )
    return len(revived)


_DEAD_SCORE_JOBS = select(JOBS.c.photo_id).where(JOBS.c.state == "dead", JOBS.c.kind == "score")
