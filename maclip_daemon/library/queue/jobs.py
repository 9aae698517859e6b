"""The job queue: at least once, idempotent, with leases, retry back-off and dead letters.

One row per photo and kind; finished work has none. The clock is an argument (Unix seconds). A clock that was
set back never makes a job wait longer than it should (`leases.reclaim_expired`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import and_, bindparam, case, delete, func, select, update
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.orm import Session

from maclip_daemon.library.queue.leases import Kind, LeasedJob, is_on_devices, ready_at
from maclip_daemon.library.storage import timestamps
from maclip_daemon.library.storage.photo_paths import ids_at, path_of
from maclip_daemon.library.storage.tables import AGAIN, FRESH, JOBS, PHOTOS

MAX_PAUSE_S = 3600.0  # a photo that failed for an hour-long reason (a share offline) is tried within the next
UNCOUNTED_PAUSE_S = 30.0  # until a server that was silent is asked again
REASON_LENGTH = 2000  # characters; a traceback in full helps nobody in a table


@dataclass(frozen=True)
class RetryPolicy:
    """How often failed work is tried again, and after which pauses (`settings.JobSettings`)."""

    max_attempts: int = 5
    retry_base_s: float = 2.0
    is_counted: bool = True
    """Whether an attempt counts; else it is tried again after `UNCOUNTED_PAUSE_S`, without end."""

    def pause_s(self, attempts: int) -> float:
        """Return the pause after the n-th failed attempt: base · 2^(n−1) seconds, an hour at most."""
        if not self.is_counted:
            return UNCOUNTED_PAUSE_S
        return min(self.retry_base_s * 2.0 ** min(attempts - 1, 40), MAX_PAUSE_S)


@dataclass(frozen=True)
class JobCounts:
    """The number of jobs of one kind, by state."""

    ready: int = 0
    """Waiting, the ones in a retry pause included."""
    leased: int = 0
    dead: int = 0


def enqueue(
    session: Session, photo_ids: Iterable[int], kind: Kind, now: float, *, delay_s: float = 0.0
) -> None:
    """Queue work on photos, due after `delay_s` seconds; a photo that is queued already keeps its one job.

    The generation of a leased job grows: `finish` then rejects the worker's result, and the job is ready
    again. A dead job comes back to life.
    """
    moment = timestamps.text(now)
    row = {"kind": kind, "not_before": timestamps.text(now + delay_s), "changed_at": moment}
    if rows := [{"photo_id": photo_id, **row} for photo_id in photo_ids]:
        session.execute(_ENQUEUE, rows)


def or_ask_again(statement: Insert) -> Insert:
    """Return the insert of jobs with the rule for those that exist: ask again, from the first attempt."""
    leased = JOBS.c.state == "leased"
    return statement.on_conflict_do_update(
        index_elements=["photo_id", "kind"],
        set_={
            "generation": JOBS.c.generation + 1,
            "state": case((leased, "leased"), else_="ready"),
            "attempts": case((leased, JOBS.c.attempts), else_=0),
            "not_before": statement.excluded.not_before,
            "reason": None,
            "failure": None,
            "changed_at": statement.excluded.changed_at,
            "priority": statement.excluded.priority,
        },
    )


_ENQUEUE = or_ask_again(insert(JOBS))


def finish(session: Session, held: Sequence[LeasedJob], worker: str) -> set[int]:
    """End jobs (some thousands at most); return the ids of those whose results count.

    Store these results in the same transaction, and drop the others: their lease was lost (another worker
    has the job or did it), or the photo was queued again meanwhile. Then the job is ready again.
    """
    found = session.execute(_HELD_NOW, {"worker": worker, "ids": [job.id for job in held]})
    rows = {row.id: row for row in found}
    ours = [job for job in held if job.id in rows and rows[job.id].lease_number == job.lease_number]
    current = {job.id for job in ours if rows[job.id].generation == job.generation}
    if current:
        session.execute(delete(JOBS).where(JOBS.c.id.in_(current)))
    for job in ours:
        if job.id not in current:
            session.execute(_READY_AGAIN, _held_by(job, worker))
    return current


def _held_by(job: LeasedJob, worker: str) -> dict[str, object]:
    return {"job_id": job.id, "held_by": worker, "held_number": job.lease_number}


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
# It was due when it was leased; the clock may have been set back since, so it is due whatever the time.
_READY_AGAIN = (
    update(JOBS)
    .where(_HELD)
    .values(
        state="ready",
        not_before=timestamps.text(0),
        attempts=0,
        reason=None,
        failure=None,
        worker=None,
        lease_until=None,
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
    failure: str = "other",
) -> Literal["retry", "dead", "lost"]:
    """Record a failed attempt; return what becomes of the job. `failure`: the kind, as in `errors`.

    "retry": it comes back after a pause. "dead": given up, at once for `poison`, else after
    `policy.max_attempts`; the photo of a score job is then `failed`. "lost": the lease was lost, or the photo
    was queued again meanwhile; nothing was counted.
    """
    attempts = job.attempts + policy.is_counted
    dead = poison or (policy.is_counted and attempts >= policy.max_attempts)
    moment = timestamps.text(now)
    ended = session.execute(
        update(JOBS)
        .where(_HELD, JOBS.c.generation == bindparam("held"))
        .values(
            state="dead" if dead else "ready",
            attempts=attempts,
            not_before=moment if dead else timestamps.text(now + policy.pause_s(attempts)),
            reason=reason[:REASON_LENGTH].encode("utf-8", "backslashreplace").decode(),
            failure=failure,
            worker=None,
            lease_until=None,
            changed_at=moment,
        )
        .returning(JOBS.c.id),
        {**_held_by(job, worker), "held": job.generation},
    ).first()
    if ended is None:
        session.execute(_READY_AGAIN, _held_by(job, worker))
        return "lost"
    if dead and job.kind == "score":
        session.execute(
            update(PHOTOS)
            .where(PHOTOS.c.id == job.photo_id, PHOTOS.c.state != "missing")
            .values(state="failed")
        )
    return "dead" if dead else "retry"


def release(session: Session, jobs: Iterable[LeasedJob], worker: str, now: float) -> None:
    """Return jobs to the queue untouched, without counting an attempt (full disk, end of the program)."""
    for job in jobs:
        session.execute(
            update(JOBS).where(_HELD).values(ready_at(timestamps.text(now))), _held_by(job, worker)
        )


def next_due(session: Session, kind: Kind) -> float | None:
    """Return when the next job is due (Unix seconds), past or future; None: nothing waits."""
    # The first entry of the index for each priority: one minimum over both would read every waiting job.
    found = [session.execute(_EARLIEST, {"kind": kind, "priority": each}).scalar() for each in (FRESH, AGAIN)]
    times = [timestamps.seconds(earliest) for earliest in found if earliest is not None]
    return min(times, default=None)


_EARLIEST = select(func.min(JOBS.c.not_before)).where(
    JOBS.c.kind == bindparam("kind"), JOBS.c.state == "ready", JOBS.c.priority == bindparam("priority")
)


def is_open(session: Session, kind: Kind) -> bool:
    """Return whether work of a kind waits or is being done; given-up jobs do not count."""
    return any(session.execute(_ONE, {"kind": kind, "state": state}).first() for state in ("ready", "leased"))


_ONE = select(JOBS.c.id).where(JOBS.c.kind == bindparam("kind"), JOBS.c.state == bindparam("state")).limit(1)


def is_scoring_again(session: Session) -> bool:
    """Return whether photos are left to score again with the active model; given-up ones do not count."""
    return any(session.execute(_ONE_AGAIN, {"state": state}).first() for state in ("ready", "leased"))


_ONE_AGAIN = (
    select(JOBS.c.id)
    .where(JOBS.c.kind == "score", JOBS.c.state == bindparam("state"), JOBS.c.priority == AGAIN)
    .limit(1)
)


def counts(session: Session, kind: Kind, *, paused_devices: Sequence[int] = ()) -> JobCounts:
    """Count the jobs of one kind by state, without those of photos on `paused_devices`."""
    count = select(JOBS.c.state, func.count()).where(JOBS.c.kind == kind).group_by(JOBS.c.state)
    found = session.execute(count.where(~is_on_devices(paused_devices)) if paused_devices else count)
    return JobCounts(**{state: number for state, number in found})


def waiting_path_by_device(session: Session, kind: Kind) -> dict[int, str]:
    """Return, for each device, the path of one photo that waits for work of this kind."""
    chosen = (
        select(PHOTOS.c.device, func.min(PHOTOS.c.id))
        .join(JOBS, JOBS.c.photo_id == PHOTOS.c.id)
        .where(JOBS.c.kind == kind, JOBS.c.state == "ready")
        .group_by(PHOTOS.c.device)
    )
    waiting = {device: path_of(session, photo_id) for device, photo_id in session.execute(chosen)}
    return {device: path for device, path in waiting.items() if path is not None}


def retry_dead(session: Session, now: float, under: str | None = None) -> int:
    """Make dead jobs (of the folder or file `under`) ready again, without attempts; return their number."""
    dead = JOBS.c.state == "dead"
    if under is not None:
        dead = and_(dead, JOBS.c.photo_id.in_(ids_at(under)))
    moment = timestamps.text(now)
    revived = session.execute(
        update(JOBS)
        .where(dead)
        .values(state="ready", attempts=0, reason=None, failure=None, not_before=moment, changed_at=moment)
        .returning(JOBS.c.photo_id, JOBS.c.kind)
    ).all()
    session.execute(
        update(PHOTOS)
        .where(PHOTOS.c.state == "failed", ~PHOTOS.c.id.in_(_DEAD_SCORE_JOBS))
        .values(state="waiting")
    )
    return len(revived)


_DEAD_SCORE_JOBS = select(JOBS.c.photo_id).where(JOBS.c.state == "dead", JOBS.c.kind == "score")
