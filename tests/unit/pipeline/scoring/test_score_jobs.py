"""Score jobs: leased once, ended with their score in one transaction, retried with growing pauses."""

from __future__ import annotations

import pytest
from simulated_scoring import decoded, photo_score, queue_scores, score_jobs_of

from maclip_daemon.errors import ChildDied, FileChanged, Poison, Transient
from maclip_daemon.library.queue.leases import LeasedJob
from maclip_daemon.library.results import scores
from maclip_daemon.pipeline.scoring.score_jobs import ScoreJobs, row_of
from maclip_daemon.pipeline.waits import SPOOL, Resource
from tests.rated_library import RatedLibrary


def take(jobs: ScoreJobs) -> LeasedJob:
    job = jobs.take()
    assert job is not None
    return job


def test_jobs_are_leased_ahead_and_by_one_worker_only(rated: RatedLibrary) -> None:
    queue_scores(rated, "a.jpg", "b.jpg", "c.jpg")
    first, _ = score_jobs_of(rated, look_ahead=2)
    second, _ = score_jobs_of(rated, worker="other")
    assert take(first).path.endswith("a.jpg")
    assert rated.jobs()[:2] == [("a.jpg", "score", "leased", 0), ("b.jpg", "score", "leased", 0)]
    assert take(second).path.endswith("c.jpg")
    assert second.take() is None
    assert take(first).path.endswith("b.jpg")


def test_photos_of_an_offline_disk_are_not_leased(rated: RatedLibrary) -> None:
    queue_scores(rated, "away.jpg", "here.jpg")
    rated.write("update photos set device = 77 where file_name = 'away.jpg'")
    rated.state.waits.begin(Resource("offline disk", 77), "It is unplugged.")
    jobs, _ = score_jobs_of(rated)
    assert take(jobs).path.endswith("here.jpg")
    assert jobs.take() is None


def test_the_known_score_of_the_same_pixels_is_found_by_either_hash(rated: RatedLibrary) -> None:
    queue_scores(rated, "a.jpg")
    jobs, _ = score_jobs_of(rated)
    job = take(jobs)
    assert jobs.known_hash(job) is None
    assert jobs.store([(job, decoded("now:1"), row_of(photo_score(0.5)))]) == 1
    assert jobs.known_hash(job) == "now:1"
    for photo in (decoded("now:1"), decoded("new:2", former_hash="now:1")):
        known = jobs.known_score(photo)
        assert known is not None
        assert (known.score, known.sharpness) == (0.5, 0.25)
    assert jobs.known_score(decoded("other:3")) is None


@pytest.mark.parametrize("is_calibrated", [True, False])
def test_a_score_queues_a_rate_job_once_stars_are_calibrated(
    rated: RatedLibrary, is_calibrated: bool
) -> None:
    queue_scores(rated, "a.jpg")
    rated.state.is_calibrated = is_calibrated
    jobs, _ = score_jobs_of(rated)
    jobs.store([(take(jobs), decoded("a"), row_of(photo_score(0.5)))])
    assert rated.jobs() == ([("a.jpg", "rate", "ready", 0)] if is_calibrated else [])


def test_an_error_while_a_score_is_stored_leaves_the_job_leased(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue_scores(rated, "a.jpg")
    jobs, _ = score_jobs_of(rated)
    scored = [(take(jobs), decoded("a"), row_of(photo_score(0.5)))]

    def fail(*_arguments: object) -> None:
        raise Transient("The database is busy.")

    with monkeypatch.context() as patched:
        patched.setattr(scores, "record", fail)
        with pytest.raises(Transient):
            jobs.store(scored)
    assert rated.jobs() == [("a.jpg", "score", "leased", 0)]
    assert rated.rows("select pixel_hash from photos") == [(None,)]
    assert rated.state.tally.scored == 0
    assert jobs.store(scored) == 1
    assert rated.jobs() == []


def test_the_score_of_a_photo_that_was_queued_again_meanwhile_does_not_count(rated: RatedLibrary) -> None:
    queue_scores(rated, "a.jpg")
    jobs, _ = score_jobs_of(rated)
    job = take(jobs)
    queue_scores(rated, "a.jpg")
    assert jobs.store([(job, decoded("a"), row_of(photo_score(0.5)))]) == 0
    assert rated.rows("select * from scores") == []
    assert rated.jobs() == [("a.jpg", "score", "ready", 0)]
    assert rated.state.tally.scored == 0


def test_a_failed_photo_is_retried_after_growing_pauses_and_then_given_up(rated: RatedLibrary) -> None:
    queue_scores(rated, "a.jpg")
    jobs, _ = score_jobs_of(rated)
    jobs.fail(take(jobs), ChildDied("The decoder crashed."))
    assert rated.jobs() == [("a.jpg", "score", "ready", 1)]
    rated.now += 1.9
    assert jobs.take() is None
    rated.now += 0.2
    jobs.fail(take(jobs), ChildDied("The decoder crashed."))
    assert rated.jobs() == [("a.jpg", "score", "dead", 2)]
    assert rated.rows("select photos.state, reason from photos, jobs") == [("failed", "The decoder crashed.")]
    assert [failed.path.name for failed in rated.state.tally.failed] == ["a.jpg"]
    rated.now += 10_000
    assert jobs.take() is None


def test_a_damaged_photo_is_given_up_at_once(rated: RatedLibrary) -> None:
    queue_scores(rated, "a.jpg")
    jobs, roots = score_jobs_of(rated, lambda path: True)
    jobs.fail(take(jobs), Poison("a.jpg is no photo."))
    assert rated.jobs() == [("a.jpg", "score", "dead", 1)]
    assert roots.checked == [], "a disk is not to blame"


def test_a_photo_that_is_gone_is_marked_missing(rated: RatedLibrary) -> None:
    queue_scores(rated, "a.jpg")
    jobs, _ = score_jobs_of(rated)
    job = take(jobs)
    (rated.folder / "a.jpg").unlink()
    jobs.fail(job, FileChanged("a.jpg is gone."))
    assert rated.rows("select state from photos") == [("missing",)]
    assert rated.jobs() == []
    assert rated.state.tally.failed == []


def test_a_photo_that_was_renamed_meanwhile_counts_no_attempt(rated: RatedLibrary) -> None:
    queue_scores(rated, "a.jpg")
    jobs, _ = score_jobs_of(rated)
    job = take(jobs)
    (rated.folder / "a.jpg").rename(rated.folder / "b.jpg")
    rated.write("update photos set file_name = 'b.jpg'")
    jobs.fail(job, FileChanged("a.jpg is gone."))
    assert rated.jobs() == [("b.jpg", "score", "ready", 0)]
    assert rated.rows("select state from photos") == [("waiting",)]


def test_an_unreadable_photo_of_an_offline_root_waits_for_its_disk(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue_scores(rated, "a.jpg")
    jobs, roots = score_jobs_of(rated, lambda path: True)
    waited: list[float] = []
    monkeypatch.setattr(rated.state, "wait_for_work", waited.append)
    job = take(jobs)
    jobs.fail(job, Transient("It cannot be read."))
    assert rated.jobs() == [("a.jpg", "score", "ready", 0)]
    assert roots.checked == [("root", job.path)]
    assert rated.state.waits.devices("offline disk") == [job.device]
    assert len(waited) == 1
    assert jobs.take() is None


def test_jobs_of_a_pause_stay_leased_and_come_first_in_their_order(rated: RatedLibrary) -> None:
    queue_scores(rated, "a.jpg", "b.jpg", "c.jpg")
    jobs, _ = score_jobs_of(rated)
    held = [take(jobs), take(jobs)]
    jobs.pause(SPOOL, "The disk is full.", held)
    assert rated.state.waits.is_waiting(SPOOL)
    assert {state for _, _, state, _ in rated.jobs()} == {"leased"}
    assert [take(jobs) for _ in held] == held
    assert take(jobs).path.endswith("c.jpg")


def test_a_photo_that_is_scored_again_gets_its_stars_later_and_new_photos_go_first(
    rated: RatedLibrary,
) -> None:
    old = rated.add("old.jpg", score=None)
    with rated.library.writing() as session:
        former = scores.scoring_config_for(session, "maclip", "former", "native")
        scores.record(session, former.id, [(old, scores.ScoreRow(0.4))], rated.now)
        scores.enqueue_unscored(session, rated.now - 60)
    queue_scores(rated, "new.jpg")
    rated.state.is_calibrated = True
    jobs, _ = score_jobs_of(rated, look_ahead=1)
    first, second = take(jobs), take(jobs)
    assert [job.path.rpartition("/")[2] for job in (first, second)] == ["new.jpg", "old.jpg"]
    assert [job.is_again for job in (first, second)] == [False, True]
    jobs.store([(job, decoded(job.path), row_of(photo_score(0.5))) for job in (first, second)])
    assert rated.jobs() == [("new.jpg", "rate", "ready", 0)]
    assert rated.rows("select score from scores order by score") == [(0.4,), (0.5,), (0.5,)]


@pytest.mark.parametrize("is_known", [False, True])
def test_a_renamed_photo_does_not_get_the_score_of_the_file_that_took_its_name(
    rated: RatedLibrary, is_known: bool
) -> None:
    """As when the photos of the next card have the same names, or all are numbered anew."""
    queue_scores(rated, "a.jpg")
    jobs, _ = score_jobs_of(rated)
    job = take(jobs)
    (rated.folder / "a.jpg").rename(rated.folder / "b.jpg")
    rated.write("update photos set file_name = 'b.jpg'")
    if is_known:
        rated.add("a.jpg", score=None)
    else:
        (rated.folder / "a.jpg").write_bytes(b"another photo")
    assert not jobs.is_unchanged(job)
    jobs.fail(job, FileChanged("The file changed while it was read."))
    assert ("b.jpg", "score", "ready", 0) in rated.jobs()
