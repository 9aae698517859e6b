from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy.orm import Session

from maclip_daemon.library.queries.photo_failures import failures
from maclip_daemon.library.queue import jobs, leases
from maclip_daemon.library.queue.jobs import JobCounts, RetryPolicy
from maclip_daemon.library.queue.leases import LeasedJob
from maclip_daemon.library.storage import photo_paths
from maclip_daemon.library.storage.database import Library

NOW = 1_780_000_000.0
POLICY = RetryPolicy(max_attempts=3, retry_base_s=2)
AddPhoto = Callable[..., int]


@pytest.fixture
def photo(session: Session, add_photo: AddPhoto) -> int:
    photo_id = add_photo("/photos/a.jpg")
    jobs.enqueue(session, [photo_id], "score", NOW)
    return photo_id


def lease(session: Session, now: float = NOW, worker: str = "w", limit: int = 10) -> list[LeasedJob]:
    return leases.lease(session, "score", worker, now, 900, limit)


def test_asking_twice_is_one_job(session: Session, photo: int) -> None:
    jobs.enqueue(session, [photo], "score", NOW + 1)
    assert jobs.counts(session, "score") == JobCounts(ready=1)


def test_the_longest_waiting_are_leased_first_and_once(session: Session, add_photo: AddPhoto) -> None:
    for number in range(5):
        jobs.enqueue(session, [add_photo(f"/photos/{number}.jpg")], "score", NOW - number)
    assert [job.path for job in lease(session, limit=2)] == ["/photos/4.jpg", "/photos/3.jpg"]
    assert len(lease(session, worker="other")) == 3
    assert lease(session) == []


def test_finished_work_leaves_no_row(session: Session, photo: int) -> None:
    (job,) = lease(session)
    assert jobs.finish(session, [job], "w") == {job.id}
    assert not jobs.finish(session, [job], "w")
    assert jobs.counts(session, "score") == JobCounts()


def test_each_of_many_jobs_ends_on_its_own(session: Session, add_photo: AddPhoto) -> None:
    numbers = [add_photo(f"/photos/{number}.jpg") for number in range(4)]
    jobs.enqueue(session, numbers, "score", NOW)
    done, again, lost, others = sorted(lease(session), key=lambda job: job.photo_id)
    jobs.enqueue(session, [again.photo_id], "score", NOW + 1)
    assert jobs.finish(session, [lost], "w") == {lost.id}
    jobs.enqueue(session, [lost.photo_id], "score", NOW)
    jobs.release(session, [others], "w", NOW)
    (held,) = [job for job in lease(session, NOW, "other") if job.photo_id == others.photo_id]
    assert jobs.finish(session, [done, again, lost, others], "w") == {done.id}
    assert jobs.finish(session, [done], "w") == set()
    assert [job.photo_id for job in lease(session, NOW + 2)] == [again.photo_id]
    assert jobs.finish(session, [held], "other") == {held.id}


def test_the_jobs_of_a_resting_disk_are_left_for_later(session: Session, add_photo: AddPhoto) -> None:
    full, roomy = add_photo("/card/a.jpg", device=7), add_photo("/photos/b.jpg", device=8)
    jobs.enqueue(session, [full, roomy], "score", NOW)
    taken = leases.lease(session, "score", "w", NOW, 900, 10, paused_devices=[7])
    assert [(job.photo_id, job.device) for job in taken] == [(roomy, 8)]
    assert jobs.counts(session, "score", paused_devices=[7]) == JobCounts(leased=1)
    assert [job.photo_id for job in lease(session)] == [full]


def test_a_photo_asked_for_again_while_in_hand_is_done_again(session: Session, photo: int) -> None:
    (job,) = lease(session)
    jobs.enqueue(session, [photo], "score", NOW + 1)
    assert lease(session, NOW + 2) == []
    assert not jobs.finish(session, [job], "w")
    (again,) = lease(session, NOW + 3)
    assert jobs.finish(session, [again], "w") == {again.id}


def test_a_worker_cannot_end_what_another_one_holds(session: Session, photo: int) -> None:
    (old,) = lease(session)
    assert leases.reclaim_expired(session, NOW + 900, 900) == 1
    (new,) = lease(session, NOW + 901, "other")
    assert not jobs.finish(session, [old], "w")
    assert jobs.fail(session, old, "w", "late", NOW + 902, poison=True, policy=POLICY) == "lost"
    assert jobs.finish(session, [new], "other") == {new.id}


def test_a_late_answer_cannot_end_a_later_lease_of_the_same_worker(session: Session, photo: int) -> None:
    (old,) = lease(session)
    leases.reclaim_expired(session, NOW + 900, 900)
    (new,) = lease(session, NOW + 901)
    assert not jobs.finish(session, [old], "w")
    assert jobs.finish(session, [new], "w") == {new.id}


def test_a_late_answer_cannot_end_a_later_job_of_the_same_photo(session: Session, photo: int) -> None:
    (late,) = lease(session)
    leases.reclaim_expired(session, NOW + 1000, 900)
    (job,) = lease(session, NOW + 1000)
    assert jobs.finish(session, [job], "w") == {job.id}
    jobs.enqueue(session, [photo], "score", NOW + 1000)
    (job,) = lease(session, NOW + 1000)
    assert job.lease_number == late.lease_number, "only the number of the job tells them apart"
    assert not jobs.finish(session, [late], "w")
    jobs.release(session, [late], "w", NOW + 1000)
    assert jobs.finish(session, [job], "w") == {job.id}


def test_failures_pause_twice_as_long_each_time_and_end_with_the_reason(
    session: Session, photo: int, library: Library
) -> None:
    now = NOW
    for pause in (2, 4):
        (job,) = lease(session, now)
        assert jobs.fail(session, job, "w", "share away", now, poison=False, policy=POLICY) == "retry"
        assert jobs.next_due(session, "score") == now + pause
        assert lease(session, now + pause - 0.5) == []
        now += pause
    (job,) = lease(session, now)
    assert jobs.fail(session, job, "w", "share away", now, poison=False, policy=POLICY) == "dead"
    assert jobs.counts(session, "score") == JobCounts(dead=1)
    session.commit()
    with library.snapshot() as snapshot:
        (failure,) = failures(snapshot)
    assert (failure.path, failure.reason, failure.attempts) == ("/photos/a.jpg", "share away", 3)


def test_poison_is_given_up_at_once_and_a_retry_starts_afresh(session: Session, photo: int) -> None:
    (job,) = lease(session)
    assert jobs.fail(session, job, "w", "cut off", NOW, poison=True, policy=POLICY) == "dead"
    assert photo_paths.known_in_folder(session, "/photos")["a.jpg"].state == "failed"
    assert jobs.retry_dead(session, NOW, under="/elsewhere") == 0
    assert jobs.retry_dead(session, NOW, under="/photos/a.jpg") == 1
    assert photo_paths.known_in_folder(session, "/photos")["a.jpg"].state == "waiting"
    (again,) = lease(session)
    assert again.attempts == 0


def test_a_pause_never_grows_beyond_an_hour() -> None:
    assert RetryPolicy(max_attempts=100).pause_s(99) == jobs.MAX_PAUSE_S


def test_work_given_back_counts_no_attempt_and_is_due_at_once(session: Session, photo: int) -> None:
    for _ in range(10):
        held = lease(session)
        jobs.release(session, held, "w", NOW)
    assert lease(session)[0].attempts == 0


def test_a_killed_program_counts_no_attempt_however_often(session: Session, photo: int) -> None:
    for _ in range(10):
        assert len(lease(session)) == 1
        assert leases.release_all(session, None, NOW) == 1
    assert lease(session)[0].attempts == 0


def test_a_lease_lasts_as_long_as_it_is_renewed(session: Session, photo: int) -> None:
    (job,) = lease(session)
    assert leases.renew(session, "w", NOW + 800, 900) == 1
    assert leases.reclaim_expired(session, NOW + 1000, 900) == 0
    assert jobs.finish(session, [job], "w") == {job.id}


def test_a_clock_set_back_does_not_prolong_a_pause(session: Session, photo: int) -> None:
    (job,) = lease(session)
    jobs.fail(session, job, "w", "later", NOW, poison=False, policy=POLICY)
    yesterday = NOW - 86400
    assert lease(session, yesterday) == []
    leases.reclaim_expired(session, yesterday, 900)
    assert len(lease(session, yesterday)) == 1


def test_work_that_is_due_later_is_left_alone_unless_the_clock_is_set_back(
    session: Session, photo: int
) -> None:
    jobs.enqueue(session, [photo], "rate", NOW, delay_s=10.0)
    leases.reclaim_expired(session, NOW + 0.1, 900)
    assert jobs.next_due(session, "rate") == NOW + 10
    leases.reclaim_expired(session, NOW - 3600, 900)
    assert jobs.next_due(session, "rate") == NOW - 3600


def test_a_clock_set_back_cuts_a_lease_but_does_not_take_it(session: Session, photo: int) -> None:
    (job,) = lease(session)
    yesterday = NOW - 86400
    assert leases.reclaim_expired(session, yesterday, 900) == 0
    assert leases.reclaim_expired(session, yesterday + 900, 900) == 1
    assert not jobs.finish(session, [job], "w")


def test_a_clock_nudged_back_changes_nothing(session: Session, photo: int) -> None:
    lease(session)
    assert leases.reclaim_expired(session, NOW - 0.5, 900) == 0
    assert leases.reclaim_expired(session, NOW + 899, 900) == 0


def test_a_reason_with_bytes_that_are_not_utf8_is_stored(session: Session, photo: int) -> None:
    (job,) = lease(session)
    reason = "cannot read /x/\udcff.jpg"
    assert jobs.fail(session, job, "w", reason, NOW, poison=True, policy=POLICY) == "dead"


def test_an_attempt_that_does_not_count_brings_a_job_no_nearer_to_its_end(
    session: Session, photo: int
) -> None:
    silent = replace(POLICY, is_counted=False)
    now = NOW
    for _ in range(3 * POLICY.max_attempts):
        (job,) = lease(session, now)
        assert jobs.fail(session, job, "w", "silent", now, poison=False, policy=silent) == "retry"
        assert jobs.next_due(session, "score") == now + jobs.UNCOUNTED_PAUSE_S
        now += jobs.UNCOUNTED_PAUSE_S
    (job,) = lease(session, now)
    assert job.attempts == 0
    assert jobs.fail(session, job, "w", "another reason", now, poison=False, policy=POLICY) == "retry"
