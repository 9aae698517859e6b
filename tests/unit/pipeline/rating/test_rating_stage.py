"""The rating stage: stars into sidecars, a person's rating never touched, and nothing lost on an error."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from maclip_daemon.errors import (
    ChildDied,
    EnvironmentUnfit,
    FileChanged,
    NoAnswer,
    NoSpace,
    Poison,
    Transient,
)
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.library.storage import timestamps
from maclip_daemon.library.storage.database import Library
from maclip_daemon.library.storage.database_errors import DatabaseBusy
from maclip_daemon.metadata.records import RatingRequest
from maclip_daemon.pipeline.rating.calibration_stage import CalibrationStage
from maclip_daemon.pipeline.rating.external_edits import SidecarMonitor
from maclip_daemon.pipeline.rating.rate_jobs import RateJobs
from maclip_daemon.pipeline.rating.rating_stage import RatingStage
from maclip_daemon.settings import JobSettings, RatingSettings
from tests.darktable_home import DarktableHome
from tests.rated_library import (
    BROKEN,
    CLEARED,
    EDGES,
    NOW,
    PERSONS,
    SETTINGS,
    FakeRoots,
    RatedLibrary,
    sidecar_of,
)


def rate_jobs_of(rated: RatedLibrary, is_offline: Callable[[str], bool] = lambda path: False) -> RateJobs:
    return RateJobs(rated.library, rated.state, JobSettings(max_attempts=2), "test", FakeRoots(is_offline))


def stage_of(
    rated: RatedLibrary, jobs: RateJobs | None = None, settings: RatingSettings = SETTINGS
) -> RatingStage:
    return RatingStage(jobs or rate_jobs_of(rated), rated.state, settings, rated.writer)


def add_and_queue(rated: RatedLibrary, *names: str) -> list[Path]:
    rated.calibrate()
    rated.queue(*(rated.add(name) for name in names))
    return [sidecar_of(rated.folder / name) for name in names]


def temporary_files(rated: RatedLibrary) -> list[Path]:
    return list(rated.folder.rglob(".maclip-*"))


def journal(rated: RatedLibrary) -> list[str]:
    return [state for (state,) in rated.rows("select state from rating_journal order by id")]


def test_each_photo_gets_the_stars_of_its_score(rated: RatedLibrary) -> None:
    rated.calibrate()
    scored = {f"{index}.jpg": score for index, score in enumerate((0.1, 0.2, 0.5, 0.79, 0.8), 1)}
    rated.queue(*(rated.add(name, score) for name, score in scored.items()))
    stage = stage_of(rated)
    assert stage.work()
    assert not stage.work()
    written = [sidecar_of(rated.folder / name).read_bytes() for name in scored]
    assert written == [b"stars: 1", b"stars: 2", b"stars: 3", b"stars: 4", b"stars: 5"]
    assert journal(rated) == ["written"] * 5
    assert rated.jobs() == []
    assert rated.state.tally.rated == 5
    assert rated.rows("select distinct rating_owner from photos") == [("maclip",)]


def test_a_persons_rating_is_never_touched(rated: RatedLibrary) -> None:
    (sidecar,) = add_and_queue(rated, "a.jpg")
    sidecar.write_bytes(PERSONS)
    assert stage_of(rated).work()
    assert sidecar.read_bytes() == PERSONS
    assert journal(rated) == []
    assert rated.rows("select rating_owner, rating_in_file from photos") == [("person", 5)]
    assert rated.rows("select rating_checked_at from photos") == [(timestamps.text(rated.now),)]
    assert (rated.state.tally.rated, rated.state.tally.kept) == (0, 1)
    assert rated.jobs() == []


def test_a_star_that_a_person_took_back_makes_no_room_for_ours_until_they_ask(rated: RatedLibrary) -> None:
    (sidecar,) = add_and_queue(rated, "a.jpg")
    sidecar.write_bytes(PERSONS)
    stage = stage_of(rated)
    stage.work()
    sidecar.write_bytes(CLEARED)
    for _ in range(2):
        rated.queue(1)
        stage.work()
        assert sidecar.read_bytes() == CLEARED
        assert rated.rows("select rating_owner, rating_in_file from photos") == [("person", 0)]
    assert temporary_files(rated) == []
    rated.write("update photos set may_replace = 'no_stars'")
    rated.queue(1)
    stage.work()
    assert sidecar.read_bytes() == b"stars: 3"


def test_a_persons_stars_for_a_photo_whose_stars_were_undone_are_noted_and_nothing_is_written(
    rated: RatedLibrary,
) -> None:
    (sidecar,) = add_and_queue(rated, "a.jpg")
    rated.write("update photos set rating_undone_at = '2026-01-01T00:00:00Z'")
    stage = stage_of(rated)
    of_nobody, of_a_person = ("none", None), ("person", 5)
    for content, known in (
        (b"stars: 3", of_nobody),
        (CLEARED, of_nobody),
        (PERSONS, of_a_person),
        (BROKEN, of_a_person),
        (CLEARED, ("person", 0)),
    ):
        sidecar.write_bytes(content)
        rated.queue(1)
        stage.work()
        assert sidecar.read_bytes() == content
        assert rated.rows("select rating_owner, rating_in_file from photos") == [known]
        assert rated.jobs() == []
    rated.write("update photos set rating_undone_at = null")  # `maclip rate`
    rated.queue(1)
    stage.work()
    assert sidecar.read_bytes() == CLEARED, "no stars are a verdict, too"
    assert (journal(rated), temporary_files(rated)) == ([], [])


def test_a_file_that_holds_these_stars_already_is_not_written(rated: RatedLibrary) -> None:
    (sidecar,) = add_and_queue(rated, "a.jpg")
    sidecar.write_bytes(b"stars: 3")
    assert stage_of(rated).work()
    assert journal(rated) == []
    assert rated.rows("select rating_owner, rating_in_file from photos") == [("maclip", 3)]
    assert rated.state.tally.rated == 0


def test_a_skipped_photo_keeps_its_reason_for_status(rated: RatedLibrary) -> None:
    add_and_queue(rated, "a.jpg")
    rated.writer.skipped["a.jpg"] = "The folder is read-only."
    assert stage_of(rated).work()
    assert rated.rows("select rating_problem from photos") == [("The folder is read-only.",)]
    assert rated.state.tally.skipped == 1
    assert rated.jobs() == []


def test_before_the_first_calibration_a_job_ends_without_a_write(rated: RatedLibrary) -> None:
    rated.queue(rated.add("a.jpg"))
    assert stage_of(rated).work()
    assert rated.writer.prepared == []
    assert rated.jobs() == []


def test_a_photo_without_a_score_is_passed_over(rated: RatedLibrary) -> None:
    rated.calibrate()
    rated.queue(rated.add("a.jpg", score=None), rated.add("b.jpg"))
    assert stage_of(rated).work()
    assert rated.writer.prepared == [["b.jpg"]]
    assert rated.rows("select count(*) from jobs where kind = 'rate'") == [(0,)]


def test_photos_below_the_percentile_of_rejects_are_rejected(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [rated.add(f"{number}.jpg", number / 10) for number in range(1, 9)]
    rated.calibrate()
    rated.queue(*ids)
    settings = RatingSettings(edges=EDGES, darktable_library="off", reject_below_percentile=20)
    requests: list[RatingRequest] = []
    prepare_many = rated.writer.prepare_many
    monkeypatch.setattr(
        rated.writer, "prepare_many", lambda given: requests.extend(given) or prepare_many(given)
    )
    stage_of(rated, settings=settings).work()
    rejected = [request.photo.name for request in requests if request.reject]
    assert rejected == ["1.jpg", "2.jpg"]


def test_a_failed_photo_is_retried_and_given_up_and_holds_up_no_other(rated: RatedLibrary) -> None:
    bad, good = add_and_queue(rated, "bad.jpg", "good.jpg")
    rated.writer.problems["bad.jpg"] = Transient("It could not be written.")
    stage = stage_of(rated)
    assert stage.work()
    assert good.exists()
    assert rated.jobs() == [("bad.jpg", "rate", "ready", 1)]
    assert not stage.work(), "it waits before the next attempt"
    rated.now += 1000
    assert stage.work()
    assert rated.jobs() == [("bad.jpg", "rate", "dead", 2)]
    assert [(failed.path.name, failed.reason) for failed in rated.state.tally.failed] == [
        ("bad.jpg", "It could not be written.")
    ]
    assert not bad.exists()


def test_a_poisonous_photo_is_given_up_at_once(rated: RatedLibrary) -> None:
    add_and_queue(rated, "a.jpg")
    rated.writer.problems["a.jpg"] = Poison("exiv2 crashes on it.")
    assert stage_of(rated).work()
    assert rated.jobs() == [("a.jpg", "rate", "dead", 1)]


def test_a_photo_that_another_program_is_writing_gets_no_sidecar_yet_and_is_never_given_up(
    rated: RatedLibrary,
) -> None:
    (sidecar,) = add_and_queue(rated, "a.jpg")
    (rated.folder / "a.jpg").write_bytes(b"half of it")
    stage = stage_of(rated)
    for attempt in range(1, 5):
        assert stage.work()
        assert rated.jobs() == [("a.jpg", "rate", "ready", attempt)]
        rated.now += 1000
    assert not sidecar.exists()
    assert temporary_files(rated) == []
    assert journal(rated) == []


def test_a_file_that_changed_between_prepare_and_commit_is_left_alone(rated: RatedLibrary) -> None:
    changed, other = add_and_queue(rated, "a.jpg", "b.jpg")
    rated.writer.problems["commit a.jpg"] = FileChanged("It was changed by another program.")
    assert stage_of(rated).work()
    assert not changed.exists()
    assert other.exists()
    assert journal(rated) == ["abandoned", "written"]
    assert rated.jobs() == [("a.jpg", "rate", "ready", 1)]


def test_a_full_disk_pauses_its_own_photos_only_and_counts_no_attempt(rated: RatedLibrary) -> None:
    rated.calibrate()
    rated.queue(rated.add("full.jpg", device=1), rated.add("free.jpg", device=2))
    rated.writer.problems["full.jpg"] = NoSpace("The disk is full.")
    stage = stage_of(rated)
    assert stage.work()
    assert sidecar_of(rated.folder / "free.jpg").exists()
    assert rated.jobs() == [("full.jpg", "rate", "ready", 0)]
    rated.queue(rated.add("new.jpg", device=2))
    assert stage.work()
    assert rated.writer.prepared == [["full.jpg", "free.jpg"], ["new.jpg"]]
    assert not stage.work()


def test_without_a_metadata_process_all_ratings_wait_and_no_attempt_is_counted(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_and_queue(rated, "a.jpg", "b.jpg")

    def unfit(requests: object) -> None:
        raise EnvironmentUnfit("pyexiv2 cannot be loaded.")

    monkeypatch.setattr(rated.writer, "prepare_many", unfit)
    assert stage_of(rated).work()
    assert [state for *_, state, attempts in rated.jobs() if attempts == 0] == ["ready", "ready"]


def test_after_a_lost_metadata_process_only_the_photo_to_blame_counts_an_attempt(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    sidecars = add_and_queue(rated, "a.jpg", "bad.jpg", "c.jpg")
    prepare_many = rated.writer.prepare_many

    def dies_over_bad(requests: list[RatingRequest]) -> object:
        results = prepare_many(requests)
        if any(request.photo.name == "bad.jpg" for request in requests):
            raise ChildDied("The metadata process ended by signal 11.")
        return results

    monkeypatch.setattr(rated.writer, "prepare_many", dies_over_bad)
    assert stage_of(rated).work()
    assert [sidecar.exists() for sidecar in sidecars] == [True, False, True]
    assert rated.jobs() == [("bad.jpg", "rate", "ready", 1)]
    assert temporary_files(rated) == []


def test_what_was_prepared_on_a_disk_that_went_away_is_removed_once_it_is_back(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_and_queue(rated, "a.jpg")
    away = rated.folder.with_name("away")
    prepare_many = rated.writer.prepare_many

    def then_unplug(requests: list[RatingRequest]) -> object:
        results = prepare_many(requests)
        rated.folder.rename(away)
        return results

    monkeypatch.setattr(rated.writer, "prepare_many", then_unplug)
    rated.writer.problems["commit a.jpg"] = Transient("Its folder is gone.")
    stage = stage_of(rated, rate_jobs_of(rated, lambda path: away.exists()))
    assert stage.work()
    rated.write("delete from jobs")  # the photo is moved meanwhile: no job comes to this folder any more
    assert not stage.work()
    away.rename(rated.folder)
    assert len(temporary_files(rated)) == 1
    rated.now += 1000
    assert not stage.work()
    assert temporary_files(rated) == []


def test_a_write_whose_process_died_after_it_counts_as_ours(rated: RatedLibrary) -> None:
    first, second = add_and_queue(rated, "a.jpg", "b.jpg")
    rated.writer.lost = ChildDied("The metadata process ended by signal 9.")
    assert stage_of(rated).work()
    assert [sidecar.read_bytes() for sidecar in (first, second)] == [b"stars: 3", b"stars: 3"]
    # The first attempt: one file was replaced, the other was not. The second attempt wrote only the other.
    assert journal(rated) == ["written", "abandoned", "written"]
    assert rated.rows("select distinct rating_owner, stars_written from photos") == [("maclip", 3)]
    assert rated.jobs() == []


def test_a_locked_database_ends_the_run_with_its_error_and_leaves_no_files(
    rated: RatedLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sidecar,) = add_and_queue(rated, "a.jpg")
    rated.library.close()
    rated.library = Library.open(tmp_path / "data" / "library.db", busy_timeout_s=1)
    other = sqlite3.connect(tmp_path / "data" / "library.db", isolation_level=None)
    prepare_many = rated.writer.prepare_many

    def then_lock(requests: list[RatingRequest]) -> object:
        results = prepare_many(requests)
        other.execute("BEGIN IMMEDIATE")
        return results

    monkeypatch.setattr(rated.writer, "prepare_many", then_lock)
    with pytest.raises(DatabaseBusy):
        stage_of(rated).work()
    other.close()
    assert not sidecar.exists()
    assert temporary_files(rated) == []
    assert rated.jobs() == [("a.jpg", "rate", "leased", 0)], "the next start takes it back"


def test_an_offline_root_counts_no_attempt(rated: RatedLibrary) -> None:
    add_and_queue(rated, "a.jpg")
    rated.writer.problems["a.jpg"] = Transient("Input/output error")
    rated.state.stop()  # so that nothing waits for the root
    jobs = rate_jobs_of(rated, is_offline=lambda path: True)
    stage = stage_of(rated, jobs)
    assert stage.work()
    assert rated.jobs() == [("a.jpg", "rate", "ready", 0)]
    assert not stage.work(), "its disk is left alone for a while"


def test_a_run_that_rates_nothing_neither_writes_nor_checks_files(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_and_queue(rated, "a.jpg")
    settings = RatingSettings(mode="off", edges=EDGES)
    stage = stage_of(rated, settings=settings)
    calibrating = CalibrationStage(rated.library, rated.state, settings, rated.scoring_config_id, ())
    monitor = SidecarMonitor(rated.library, rated.state)
    for name in ("check", "check_all"):
        monkeypatch.setattr(monitor, name, lambda *_, name=name: pytest.fail(f"{name} was called"))
    monkeypatch.setattr(rated.state, "wait_for_work", lambda seconds: rated.state.stop())
    stage.run(calibrating, monitor)
    assert rated.jobs() == [("a.jpg", "rate", "ready", 0)]
    assert rated.writer.closed == 1


def test_a_run_calibrates_rates_and_ends_the_metadata_process_when_it_stops(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    rated.add("a.jpg", 0.9)
    stage = stage_of(rated)
    calibrating = CalibrationStage(rated.library, rated.state, SETTINGS, rated.scoring_config_id, ())
    monkeypatch.setattr(rated.state, "wait_for_work", lambda seconds: rated.state.stop())
    stage.run(calibrating, SidecarMonitor(rated.library, rated.state))
    assert sidecar_of(rated.folder / "a.jpg").read_bytes() == b"stars: 5"
    assert stage.has_checked_files
    assert rated.writer.closed == 1
    assert rated.now == NOW


def test_a_rating_waits_while_a_folder_that_darktable_knows_does_not_respond(
    rated: RatedLibrary, darktable: DarktableHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the photo's own folder under another name; one that is silent for long is not."""

    def silent(_probe: FilesystemProbe, _folder: str, _operation: object) -> None:
        raise NoAnswer("It does not respond.")

    darktable.photos = Path("/nas", rated.folder.name)
    darktable.add("a.jpg", 5)
    (sidecar,) = add_and_queue(rated, "a.jpg")
    stage = stage_of(rated, settings=SETTINGS.model_copy(update={"darktable_library": "auto"}))
    with monkeypatch.context() as away:
        away.setattr(FilesystemProbe, "call_with_timeout", silent)
        for _ in range(8):
            stage.work()
            rated.now += 3600
    assert [state for _, _, state, _ in rated.jobs()] == ["ready"], "no attempt counts"
    assert not sidecar.exists()
    assert temporary_files(rated) == []
    stage.work()
    assert sidecar.exists()
