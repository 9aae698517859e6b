"""Rate jobs: leased when due, ended in one transaction, released without an attempt."""

from __future__ import annotations

from maclip_daemon.errors import Transient
from maclip_daemon.library.queue import leases
from maclip_daemon.pipeline.rating.rate_jobs import RateJobs
from maclip_daemon.settings import JobSettings
from tests.rated_library import FakeRoots, RatedLibrary

SECONDS = JobSettings(max_attempts=3, retry_base_s=10, lease_s=900)


def jobs_of(rated: RatedLibrary, offline: str = "/nowhere") -> RateJobs:
    roots = FakeRoots(lambda path: offline in path)
    return RateJobs(rated.library, rated.state, SECONDS, "worker", roots)


def test_jobs_are_taken_when_they_are_due_and_not_twice(rated: RatedLibrary) -> None:
    rated.now += 60
    rated.queue(rated.add("a.jpg"), rated.add("b.jpg"))
    rated.now -= 60
    jobs = jobs_of(rated)
    assert jobs.take(10) == []
    rated.now += 60
    assert [job.path for job in jobs.take(1)] == [str(rated.folder / "a.jpg")]
    assert [job.path for job in jobs.take(10)] == [str(rated.folder / "b.jpg")]
    assert jobs.take(10) == []


def test_failures_are_retried_after_growing_pauses_until_the_last_attempt(rated: RatedLibrary) -> None:
    rated.queue(rated.add("a.jpg"))
    jobs = jobs_of(rated)
    pauses = []
    for _ in range(2):
        (job,) = jobs.take(1)
        jobs.fail(job, Transient("It could not be written."))
        waited = 0
        while not (taken := jobs.take(1)):
            rated.now += 1
            waited += 1
        jobs.release(taken)
        pauses.append(waited)
    assert pauses == [10, 20]
    (job,) = jobs.take(1)
    jobs.fail(job, Transient("It could not be written."))
    assert rated.jobs() == [("a.jpg", "rate", "dead", 3)]
    assert [failed.reason for failed in rated.state.tally.failed] == ["It could not be written."]


def test_a_failure_on_an_online_disk_counts_and_one_on_an_offline_disk_does_not(rated: RatedLibrary) -> None:
    rated.state.stop()  # so that nothing waits for the root
    rated.queue(rated.add("away/a.jpg", device=1), rated.add("here/b.jpg", device=2))
    jobs = jobs_of(rated, offline="away")
    for job in jobs.take(2):
        jobs.fail(job, Transient("Input/output error"))
    assert rated.jobs() == [("a.jpg", "rate", "ready", 0), ("b.jpg", "rate", "ready", 1)]
    rated.now += 10
    assert [job.path for job in jobs.take(2)] == [str(rated.folder / "here/b.jpg")]


def test_of_a_lost_batch_the_offline_photos_are_released_and_the_others_returned(rated: RatedLibrary) -> None:
    names = {"away/a.jpg": 1, "away/b.jpg": 1, "here/c.jpg": 2}
    rated.queue(*(rated.add(name, device=device) for name, device in names.items()))
    jobs = jobs_of(rated, offline="away")
    left = jobs.release_offline(jobs.take(3))
    assert [job.path for job in left] == [str(rated.folder / "here/c.jpg")]
    assert [row[2] for row in rated.jobs()] == ["ready", "ready", "leased"]


def test_a_job_that_was_queued_again_meanwhile_is_not_ended(rated: RatedLibrary) -> None:
    photo_id = rated.add("a.jpg")
    rated.queue(photo_id)
    jobs = jobs_of(rated)
    held = jobs.take(1)
    rated.queue(photo_id)
    jobs.finish(held)
    assert rated.jobs() == [("a.jpg", "rate", "ready", 0)]


def test_a_result_that_comes_after_the_lease_was_lost_changes_nothing(rated: RatedLibrary) -> None:
    photo_id = rated.add("a.jpg")
    rated.queue(photo_id)
    jobs = jobs_of(rated)
    (job,) = jobs.take(1)
    with rated.library.writing() as session:
        leases.release_all(session, None, rated.now)
        leases.lease(session, "rate", "another", rated.now, 900, 1)
    jobs.finish([job])
    jobs.fail(job, Transient("late"))
    assert rated.jobs() == [("a.jpg", "rate", "leased", 0)]
