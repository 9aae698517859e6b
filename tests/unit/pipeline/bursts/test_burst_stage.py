"""Photos of an old library are compared once."""

from __future__ import annotations

from datetime import UTC, datetime

from scenes import descriptor

from maclip_daemon.library.photos import burst_frames
from maclip_daemon.library.queue import jobs, leases
from maclip_daemon.library.results import rating_journal, scores
from maclip_daemon.library.storage.connections import driver_of
from maclip_daemon.photos.decoder import DecodedPhoto
from maclip_daemon.photos.shots.shot_info import ShotInfo
from maclip_daemon.pipeline.bursts import shot_records
from maclip_daemon.pipeline.bursts.burst_stage import BurstStage, note_setting
from maclip_daemon.pipeline.run_state import RunState
from maclip_daemon.settings import RatingSettings
from tests.rated_library import SETTINGS, RatedLibrary

TAKEN = datetime(2026, 5, 1, tzinfo=UTC)


def stage_of(rated: RatedLibrary) -> BurstStage:
    stage = BurstStage(rated.library, RunState(lambda: rated.now), RatingSettings(mode="off"))
    stage.begin()
    return stage


def score_jobs(rated: RatedLibrary) -> list[tuple[int, str, int]]:
    with rated.library.snapshot() as snapshot:
        return snapshot.execute(
            "SELECT photo_id, state, generation FROM jobs WHERE kind = 'score' ORDER BY photo_id"
        ).fetchall()


def test_a_photo_that_is_being_compared_is_not_asked_for_again(rated: RatedLibrary) -> None:
    photos = [rated.add(f"IMG_{number}.jpg", score=0.5) for number in range(3)]
    stage = stage_of(rated)
    stage.run_maintenance()
    assert score_jobs(rated) == [(number, "ready", 1) for number in photos]
    with rated.library.writing() as session:
        held = leases.lease(session, "score", "me", rated.now + 1, 60.0, 3)
        jobs.finish(session, held[:2], "me")
        taken = {
            job.photo_id: DecodedPhoto(
                None, None, 1, 1, 6, 4, f"p{job.id}", None, TAKEN, ShotInfo(), descriptor(job.photo_id)
            )
            for job in held[:2]
        }
        shot_records.record(session, taken)
    stage.run_maintenance()  # groups the two
    stage.run_maintenance()
    assert score_jobs(rated) == [(held[2].photo_id, "leased", 1)], "its result counts when it comes"
    assert not stage.is_settled()


def test_photos_that_were_compared_settle_the_library(rated: RatedLibrary) -> None:
    number = rated.add("IMG_1.jpg", score=0.5)
    stage = stage_of(rated)
    photo = DecodedPhoto(None, None, 1, 1, 6, 4, "p", None, TAKEN, ShotInfo(), descriptor(1))
    with rated.library.writing() as session:
        shot_records.record(session, {number: photo})
    stage.run_maintenance()
    stage.run_maintenance()
    assert stage.is_settled()
    assert score_jobs(rated) == []
    with rated.library.writing() as session:
        burst_frames.forget(session, [number])
        driver_of(session.connection()).execute("DELETE FROM burst_frames")
    again = stage_of(rated)
    again.run_maintenance()
    assert score_jobs(rated) == [(number, "ready", 1)]


def test_files_are_looked_at_again_once_rating_is_no_longer_off(rated: RatedLibrary) -> None:
    names = {name: rated.add(name) for name in ("ours", "persons", "undone", "unwritten")}
    rated.calibrate()
    rated.write("update photos set stars_written = 3, rating_owner = 'maclip'")
    rated.write("update photos set rating_owner = 'person' where file_name in ('persons', 'unwritten')")
    rated.write("update photos set rating_undone_at = '2026' where file_name = 'undone'")
    with rated.library.writing() as session:
        for name in ("ours", "persons", "undone"):
            entry = rating_journal.intend(
                session,
                names[name],
                f"{name}.xmp",
                "sidecar",
                before_hash=None,
                after_hash="b",
                restore=b"",
                stars_before=None,
                stars_written=None,
                now=rated.now,
            )
            rating_journal.confirm(session, entry, rated.now)
    rated.write("update photos set stars_written = 3")
    on, off = SETTINGS, SETTINGS.model_copy(update={"mode": "off"})
    assert [note_setting(rated.library, each, rated.now) for each in (on, off, off)] == [0, 0, 0]
    assert rated.jobs() == []
    assert [note_setting(rated.library, each, rated.now) for each in (on, on)] == [2, 0]
    assert rated.jobs() == [(name, "rate", "ready", 0) for name in ("ours", "persons")]


def test_files_wait_for_the_stars_of_another_model(rated: RatedLibrary) -> None:
    rated.add("a.jpg")
    off = SETTINGS.model_copy(update={"mode": "off"})
    note_setting(rated.library, off, rated.now)
    with rated.library.writing() as session:
        config = scores.scoring_config_for(session, "maclip", "another", "detail-8")
        scores.activate(session, config.id)
        scores.enqueue_unscored(session, rated.now)
    assert note_setting(rated.library, SETTINGS, rated.now) == 0
