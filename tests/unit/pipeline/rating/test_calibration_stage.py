"""Calibration: only when due, seldom while photos are being scored, and never again without a reason."""

from __future__ import annotations

import pytest

from maclip_daemon.library.photos import missing_photos
from maclip_daemon.library.queue import jobs, leases, rating_queue, rescoring
from maclip_daemon.library.results import scores
from maclip_daemon.library.results.rating_subjects import rating_subjects
from maclip_daemon.library.storage.database_errors import DatabaseFull
from maclip_daemon.pipeline.rating import calibration_stage
from maclip_daemon.pipeline.rating.calibration_stage import CalibrationStage
from maclip_daemon.settings import RatingSettings
from tests.rated_library import EDGES, RatedLibrary

EDGES_ONLY = RatingSettings(minimum_photos=1000, darktable_library="off")
FROM_LIBRARY = RatingSettings(minimum_photos=4, darktable_library="off")


@pytest.fixture
def stage(rated: RatedLibrary) -> CalibrationStage:
    return stage_of(rated, FROM_LIBRARY)


def stage_of(
    rated: RatedLibrary, settings: RatingSettings, reference_edges: tuple[float, ...] = ()
) -> CalibrationStage:
    return CalibrationStage(rated.library, rated.state, settings, rated.scoring_config_id, reference_edges)


def score(rated: RatedLibrary, *names: str) -> None:
    """Score photos as this run's scoring stage does."""
    for index, name in enumerate(names):
        rated.add(name, score=index / len(names))
    rated.state.count(scored=len(names))


def calibrations(rated: RatedLibrary) -> list[tuple[int, str]]:
    return [(count, source) for count, source in rated.rows("select photo_count, source from calibrations")]


def to_rate(rated: RatedLibrary) -> list[str]:
    return [name for name, kind, *_ in rated.jobs() if kind == "rate"]


def test_too_few_photos_make_no_calibration(rated: RatedLibrary, stage: CalibrationStage) -> None:
    score(rated, "a.jpg", "b.jpg", "c.jpg")
    stage.renew_if_due()
    assert calibrations(rated) == []
    assert not rated.state.is_calibrated
    assert stage.is_settled


def test_the_first_calibration_queues_every_photo(rated: RatedLibrary, stage: CalibrationStage) -> None:
    score(rated, *"abcd")
    assert not stage.is_settled
    stage.renew_if_due()
    assert calibrations(rated) == [(4, "library")]
    assert to_rate(rated) == list("abcd")
    assert rated.state.is_calibrated
    assert stage.is_settled


def test_a_run_knows_the_calibration_of_the_run_before_from_its_beginning(rated: RatedLibrary) -> None:
    """A photo that changed is often scored before the rating thread begins; its sidecar must follow."""
    stage_of(rated, FROM_LIBRARY)
    assert not rated.state.is_calibrated
    score(rated, *"abcd")
    stage_of(rated, FROM_LIBRARY).renew_if_due()
    rated.state.is_calibrated = False
    stage_of(rated, FROM_LIBRARY)
    assert rated.state.is_calibrated


def test_a_calibration_stays_until_the_library_has_grown_by_a_fifth(
    rated: RatedLibrary, stage: CalibrationStage
) -> None:
    score(rated, *"abcdefghij")
    stage.renew_if_due()
    score(rated, "k")
    stage.renew_if_due()
    assert calibrations(rated) == [(10, "library")]
    score(rated, "l")
    stage.renew_if_due()
    assert calibrations(rated) == [(10, "library"), (12, "library")]


def test_without_a_new_score_the_database_is_not_queried_again(
    rated: RatedLibrary, stage: CalibrationStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    score(rated, *"abcd")
    stage.renew_if_due()
    monkeypatch.setattr(rated.library, "reading", lambda: pytest.fail("the library was read"))
    stage.renew_if_due()


@pytest.mark.parametrize("job_state", ["waits", "is leased"])
def test_while_photos_are_being_scored_a_calibration_waits_until_the_library_has_doubled(
    rated: RatedLibrary, stage: CalibrationStage, monkeypatch: pytest.MonkeyPatch, job_state: str
) -> None:
    monkeypatch.setattr(calibration_stage, "FIRST_CALIBRATION_WHILE_BUSY", 6)
    unscored = rated.add("next.jpg", score=None)
    with rated.library.writing() as session:
        jobs.enqueue(session, [unscored], "score", rated.now)
        if job_state == "is leased":
            leases.lease(session, "score", "worker", rated.now, 900, 1)
    score(rated, *"abcd")
    stage.renew_if_due()
    assert calibrations(rated) == []
    assert not stage.is_settled, "`--once` must not end before it was considered"
    score(rated, "e", "f")
    stage.renew_if_due()
    assert calibrations(rated) == [(6, "library")]
    score(rated, "g", "h", "i", "j", "k")
    stage.renew_if_due()
    assert calibrations(rated) == [(6, "library")], "five more are no six more"
    rated.write("delete from jobs where kind = 'score'")
    stage.renew_if_due()
    assert calibrations(rated) == [(6, "library"), (11, "library")]


def test_a_job_that_is_due_later_does_not_count_as_scoring(
    rated: RatedLibrary, stage: CalibrationStage
) -> None:
    unscored = rated.add("next.jpg", score=None)
    with rated.library.writing() as session:
        jobs.enqueue(session, [unscored], "score", rated.now + 60)
    score(rated, *"abcd")
    stage.renew_if_due()
    assert calibrations(rated) == [(4, "library")]


def test_the_edges_of_the_model_serve_until_the_library_is_large_enough(rated: RatedLibrary) -> None:
    stage = stage_of(rated, FROM_LIBRARY, EDGES)
    score(rated, "a")
    stage.renew_if_due()
    assert calibrations(rated) == [(1, "reference")]
    score(rated, "b", "c", "d")
    stage.renew_if_due()
    assert calibrations(rated) == [(1, "reference"), (4, "library")]


def test_without_ratings_the_calibration_is_made_and_nothing_is_queued(rated: RatedLibrary) -> None:
    stage = stage_of(rated, RatingSettings(mode="off", minimum_photos=4))
    score(rated, *"abcd")
    stage.renew_if_due()
    assert calibrations(rated) == [(4, "library")]
    assert to_rate(rated) == []


def test_a_start_queues_what_an_earlier_run_scored_and_did_not_rate(rated: RatedLibrary) -> None:
    score(rated, *"abcd")
    stage_of(rated, RatingSettings(mode="off", minimum_photos=4)).renew_if_due()
    next_run = stage_of(rated, FROM_LIBRARY)
    next_run.renew_if_due()
    assert calibrations(rated) == [(4, "library")]
    assert to_rate(rated) == list("abcd")


def other_model(rated: RatedLibrary, *names: str) -> None:
    """Score photos with one model, then make another one the active one."""
    for name in names:
        rated.add(name)
    with rated.library.writing() as session:
        config = scores.scoring_config_for(session, "maclip", "another", "detail-8")
        scores.activate(session, config.id)
        scores.enqueue_unscored(session, rated.now)
        rescoring.begin_if_any(session, config.id, rated.now)
    rated.scoring_config_id = config.id


def score_again(rated: RatedLibrary, *names: str) -> None:
    score(rated, *names)
    for name in names:
        rated.write(
            "delete from jobs where kind = 'score' and photo_id ="
            f" (select id from photos where file_name = '{name}')"
        )


def test_stars_follow_another_model_once_when_all_photos_are_scored_again(rated: RatedLibrary) -> None:
    other_model(rated, *"abcdef")
    stage = stage_of(rated, FROM_LIBRARY, EDGES)
    stage.renew_if_due()
    assert calibrations(rated) == [(0, "reference")], "new photos have stars at once"
    assert rated.state.is_calibrated
    assert not stage.is_settled, "`--once` must wait for the stars"
    score_again(rated, "f", "e", "d", "c")
    score(rated, "new")
    stage.renew_if_due()
    assert to_rate(rated) == [], "neither photos that were scored again, nor new ones a second time"
    score_again(rated, "b", "a")
    stage.renew_if_due()
    assert calibrations(rated) == [(0, "reference"), (7, "library")]
    assert to_rate(rated) == ["a", "b", "c", "d", "e", "f", "new"]
    assert stage.is_settled
    rated.write("delete from jobs")
    stage.renew_if_due()
    assert (len(calibrations(rated)), to_rate(rated)) == (2, [])


def settled_under_another_model(rated: RatedLibrary) -> None:
    """Score photos with another model whose edges give them the stars that they have."""
    other_model(rated, *"abcdef")
    stage_of(rated, EDGES_ONLY, EDGES).renew_if_due()
    score_again(rated, *"abcdef")
    with rated.library.reading() as session:
        ids = [photo_id for (photo_id,) in rated.rows("select id from photos")]
        stars = {each.photo_id: each.stars for each in rating_subjects(session, ids)}
    for photo_id, each in stars.items():
        rated.write(
            f"update photos set rating_owner = 'maclip', stars_written = {each} where id = {photo_id}"
        )


def test_files_follow_another_model_though_the_run_ended_before_they_were_asked_for(
    rated: RatedLibrary,
) -> None:
    settled_under_another_model(rated)
    rated.state.tally.scored = 0
    stage_of(rated, EDGES_ONLY, EDGES).renew_if_due()
    assert to_rate(rated) == list("abcdef"), "their scores and reasons are others"
    rated.write("delete from jobs")
    stage_of(rated, EDGES_ONLY, EDGES).renew_if_due()
    assert to_rate(rated) == [], "once"


def test_files_follow_another_model_after_a_library_that_could_not_be_written(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise DatabaseFull("The disk of the library is full.")

    settled_under_another_model(rated)
    with monkeypatch.context() as patch:
        patch.setattr(calibration_stage.rating_queue, "enqueue_rated", full)
        with pytest.raises(DatabaseFull):
            stage_of(rated, EDGES_ONLY, EDGES).renew_if_due()
    stage_of(rated, EDGES_ONLY, EDGES).renew_if_due()
    assert to_rate(rated) == list("abcdef")


def test_files_of_photos_that_were_away_follow_another_model_when_they_are_back(rated: RatedLibrary) -> None:
    settled_under_another_model(rated)
    (away,) = rated.rows("select id from photos where file_name = 'a'")
    with rated.library.writing() as session:
        missing_photos.mark_missing(session, [away[0]], rated.now)
    stage_of(rated, EDGES_ONLY, EDGES).renew_if_due()
    assert to_rate(rated) == list("bcdef")
    with rated.library.writing() as session:
        missing_photos.mark_missing(session, [2, 3], rated.now)  # before they were rated
    assert to_rate(rated) == list("def")
    rated.write("update photos set state = 'scored'")
    with rated.library.writing() as session:
        assert rating_queue.enqueue(session, rated.now) == 3
    assert to_rate(rated) == list("abcdef")


def test_new_photos_that_an_earlier_run_scored_get_stars_while_others_are_scored_again(
    rated: RatedLibrary,
) -> None:
    other_model(rated, *"abcdef")
    stage_of(rated, FROM_LIBRARY, EDGES).renew_if_due()
    score_again(rated, "f")
    score(rated, "new")
    stage_of(rated, FROM_LIBRARY, EDGES).renew_if_due()
    assert to_rate(rated) == ["new"]


def test_without_edges_of_the_model_new_photos_wait_for_enough_scores(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration_stage, "FIRST_CALIBRATION_WHILE_BUSY", 5)
    other_model(rated, *"abcdefg")
    stage = stage_of(rated, FROM_LIBRARY)
    score_again(rated, *"gfed")
    stage.renew_if_due()
    assert calibrations(rated) == []
    score(rated, "new")
    stage.renew_if_due()
    assert calibrations(rated) == [(5, "library")]
    assert to_rate(rated) == ["new"]
    score_again(rated, *"cba")
    stage.renew_if_due()
    assert calibrations(rated) == [(5, "library"), (8, "library")]
    assert to_rate(rated) == [*"abcdefg", "new"]


def test_a_photo_that_fails_to_be_scored_again_holds_up_no_stars(rated: RatedLibrary) -> None:
    other_model(rated, *"abcdef")
    stage = stage_of(rated, FROM_LIBRARY, EDGES)
    score_again(rated, *"fedcb")
    stage.renew_if_due()
    rated.write("update jobs set state = 'dead' where kind = 'score'")
    stage.renew_if_due()
    assert calibrations(rated)[-1] == (5, "library")
    assert to_rate(rated) == list("bcdef")
