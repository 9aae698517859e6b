"""Sidecars that another program deletes: noticed, written again, and not without end."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from maclip_daemon.folders.events import EventKind, FolderEvent
from maclip_daemon.library.queue import rating_holds
from maclip_daemon.metadata.writing.undo_delta import UndoDelta
from maclip_daemon.pipeline.rating import deleted_sidecars
from maclip_daemon.pipeline.rating.deleted_sidecars import AGAIN_AFTER_S
from maclip_daemon.pipeline.rating.external_edits import DEBOUNCE_S, SidecarMonitor
from maclip_daemon.pipeline.rating.rate_jobs import RateJobs
from maclip_daemon.pipeline.rating.rating_stage import RatingStage
from maclip_daemon.settings import JobSettings
from tests.rated_library import PERSONS, SETTINGS, FakeRoots, RatedLibrary, sidecar_of


class Run:
    """One run over photos that an earlier run has rated."""

    def __init__(self, rated: RatedLibrary) -> None:
        self.rated = rated
        self.now = 100.0
        self.monitor = SidecarMonitor(rated.library, rated.state, lambda: self.now)
        jobs = RateJobs(rated.library, rated.state, JobSettings(), "test", FakeRoots())
        self.stage = RatingStage(jobs, rated.state, SETTINGS, rated.writer)

    def delete(self, name: str) -> Path:
        """Delete a sidecar, of which the watcher reports an event."""
        sidecar = sidecar_of(self.rated.folder / name)
        sidecar.unlink()
        self.monitor.on_event(FolderEvent(EventKind.FILE_GONE, str(sidecar)))
        return sidecar

    def check(self, seconds: float = 0.0) -> int:
        self.now += seconds
        return self.monitor.check(self.rated.writer)

    def note(self) -> object:
        rows = self.rated.rows(f"select value from notes where key = '{deleted_sidecars.NOTE}'")
        note = json.loads(rows[0][0])
        assert note.pop("at") == self.rated.now
        return note


@pytest.fixture
def run(rated: RatedLibrary) -> Run:
    rated.calibrate()
    rated.queue(*(rated.add(name) for name in ("a.jpg", "b.jpg", "c.jpg")))
    run = Run(rated)
    assert run.stage.work()
    for sidecar in rated.folder.glob("*.xmp"):  # the clock of the test is not that of the files
        os.utime(sidecar, (rated.now, rated.now))
    return run


def test_a_deleted_sidecar_is_written_again_after_a_while(run: Run) -> None:
    sidecar = run.delete("a.jpg")
    assert run.check(DEBOUNCE_S) == 0, "another program may be replacing it"
    assert run.check(2 * DEBOUNCE_S) == 1
    assert run.stage.work()
    assert sidecar.read_bytes() == b"stars: 3"
    assert run.check(1000) == 0
    assert run.note() == {"deleted": 1, "held_back": 0}


def test_a_sidecar_that_is_back_in_time_is_not_touched(run: Run) -> None:
    sidecar = run.delete("a.jpg")
    run.check(DEBOUNCE_S)
    sidecar.write_bytes(b"stars: 3")
    assert run.check(2 * DEBOUNCE_S) == 0
    assert run.rated.jobs() == []


def test_a_sidecar_that_is_deleted_again_and_again_is_written_once_a_day(run: Run) -> None:
    for day in range(2):
        run.delete("a.jpg")
        run.check(DEBOUNCE_S)
        assert run.check(2 * DEBOUNCE_S) == 1, day
        run.stage.work()
        sidecar = run.delete("a.jpg")
        for _ in range(10):
            assert run.check(60) == 0
        assert not sidecar.exists()
        assert run.note() == {"deleted": 1, "held_back": 1}
        sidecar.write_bytes(b"stars: 3")
        run.check(AGAIN_AFTER_S)
    run.delete("b.jpg")
    run.check(DEBOUNCE_S)
    assert run.check(2 * DEBOUNCE_S) == 1, "another one is written at once"


def test_a_start_finds_what_was_deleted_while_no_daemon_ran(run: Run) -> None:
    for name in ("a.jpg", "b.jpg"):
        sidecar_of(run.rated.folder / name).unlink()
    assert Run(run.rated).monitor.check_all() == 2
    assert run.stage.work()
    assert all(sidecar_of(run.rated.folder / name).exists() for name in ("a.jpg", "b.jpg"))


def test_a_photo_that_is_gone_too_has_lost_nothing(run: Run) -> None:
    (run.rated.folder / "a.jpg").unlink()
    run.delete("a.jpg")
    sidecar_of(run.rated.folder / "b.jpg").rename(run.rated.folder / "b.xmp")
    for _ in range(10):
        assert run.check(60) == 0
    assert run.rated.jobs() == []
    assert run.monitor.check_all() == 1
    assert run.rated.jobs() == [("b.jpg", "rate", "ready", 0)], "the one that was renamed is judged again"


def test_what_maclip_undid_or_a_person_rated_is_not_written_again(run: Run) -> None:
    run.rated.write("update photos set rating_owner = 'person' where file_name = 'a.jpg'")
    run.rated.write("update rating_journal set state = 'undone' where target_path like '%b.jpg.xmp'")
    for name in ("a.jpg", "b.jpg"):
        run.delete(name)
    for _ in range(10):
        assert run.check(60) == 0
    assert run.monitor.check_all() == 0


def test_a_person_who_rates_meanwhile_keeps_the_rating(run: Run) -> None:
    sidecar = run.delete("a.jpg")
    run.check(DEBOUNCE_S)
    assert run.check(2 * DEBOUNCE_S) == 1
    sidecar.write_bytes(PERSONS)
    assert run.stage.work()
    assert sidecar.read_bytes() == PERSONS


def test_undo_needs_only_the_last_writing(run: Run) -> None:
    run.delete("a.jpg")
    assert run.monitor.check_all() == 1
    run.stage.work()
    states = "select state, restore_data from rating_journal where target_path like '%a.jpg.xmp' order by id"
    assert run.rated.rows(states) == [("undone", None), ("written", UndoDelta(created=True).encode())]
    owners = run.rated.rows("select distinct rating_owner, stars_written from photos")
    assert owners == [("maclip", 3)], "the photo itself was not undone"


def test_all_deleted_sidecars_of_a_library_are_found_for_rate(run: Run) -> None:
    for name in ("a.jpg", "c.jpg"):
        run.delete(name)
    found = deleted_sidecars.find_all(run.rated.library, run.rated.state.probe)
    assert [Path(each.path).name for each in found] == ["a.jpg.xmp", "c.jpg.xmp"]


def test_the_sidecar_of_a_film_with_the_same_name_is_not_the_photos(run: Run) -> None:
    (run.rated.folder / "a.mp4").write_bytes(b"a film")
    (run.rated.folder / "a.xmp").write_bytes(b"its title")
    run.delete("a.jpg")
    run.check(DEBOUNCE_S)
    assert run.check(2 * DEBOUNCE_S) == 1
    assert Run(run.rated).monitor.check_all() == 1


def test_a_photo_that_maclip_undo_holds_has_lost_nothing(run: Run) -> None:
    with run.rated.library.writing() as session:
        rating_holds.hold(session, [], run.rated.now)
    run.delete("a.jpg")
    for _ in range(10):
        assert run.check(60) == 0
    assert run.monitor.check_all() == 0
    assert run.rated.rows("select * from notes where key = 'deleted_sidecars'") == []
