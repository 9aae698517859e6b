"""Rating files that changed while nobody watched: found by their times, else by their content."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from maclip_daemon.errors import NoAnswer
from maclip_daemon.folders.scanner import found_file
from maclip_daemon.library.photos import missing_photos, photo_records, root_records
from maclip_daemon.library.queue import rating_queue
from maclip_daemon.library.storage import timestamps
from maclip_daemon.pipeline.discovery import reconciliation
from maclip_daemon.pipeline.rating import missed_edits
from maclip_daemon.pipeline.rating.external_edits import UNANSWERED_S, SidecarMonitor
from maclip_daemon.pipeline.rating.rate_jobs import RateJobs
from maclip_daemon.pipeline.rating.rating_stage import RatingStage
from maclip_daemon.settings import JobSettings
from tests.rated_library import CLEARED, PERSONS, SETTINGS, FakeRoots, RatedLibrary, sidecar_of


@pytest.fixture
def monitor(rated: RatedLibrary) -> SidecarMonitor:
    return SidecarMonitor(rated.library, rated.state, time.monotonic)


def see(rated: RatedLibrary, name: str) -> None:
    """Record a file as a scan does."""
    found = found_file(str(rated.folder / name))
    assert found is not None
    with rated.library.writing() as session:
        root = root_records.root_for(session, str(rated.folder), rated.now)
    reconciliation.record(rated.library, rated.state, root, [found])


def test_a_huge_sidecar_is_not_read(tmp_path: Path) -> None:
    huge = tmp_path / "a.xmp"
    huge.write_bytes(b"x")
    assert missed_edits.is_changed(str(huge), None)
    with huge.open("r+b") as file:
        file.truncate(1 << 34)
    assert not missed_edits.is_changed(str(huge), None)


def test_a_full_check_queues_the_photos_whose_files_are_newer_than_our_last_write(
    rated: RatedLibrary, monitor: SidecarMonitor
) -> None:
    rated.calibrate()
    rated.queue(*(rated.add(name) for name in ("old.jpg", "new.jpg", "gone.jpg")))
    rate_jobs = RateJobs(rated.library, rated.state, JobSettings(), "test", FakeRoots())
    assert RatingStage(rate_jobs, rated.state, SETTINGS, rated.writer).work()
    for name, changed_at in (("old.jpg", rated.now), ("new.jpg", rated.now + 5)):
        os.utime(sidecar_of(rated.folder / name), (changed_at, changed_at))
    sidecar_of(rated.folder / "gone.jpg").unlink()
    assert monitor.check_all() == 2
    assert rated.jobs() == [("gone.jpg", "rate", "ready", 0), ("new.jpg", "rate", "ready", 0)]
    monitor.request_full_check()
    assert monitor.check(rated.writer) == 1
    assert monitor.check(rated.writer) == 0, "once for each request"


@pytest.mark.parametrize("is_edited", [True, False])
def test_a_file_that_changed_just_after_our_write_is_compared_by_its_content(
    rated: RatedLibrary, monitor: SidecarMonitor, is_edited: bool
) -> None:
    rated.calibrate()
    rated.queue(rated.add("a.jpg"))
    rate_jobs = RateJobs(rated.library, rated.state, JobSettings(), "test", FakeRoots())
    assert RatingStage(rate_jobs, rated.state, SETTINGS, rated.writer).work()
    sidecar = sidecar_of(rated.folder / "a.jpg")
    if is_edited:
        sidecar.write_bytes(sidecar.read_bytes() + b" ")
    os.utime(sidecar, (rated.now + 0.7, rated.now + 0.7))
    assert monitor.check_all() == is_edited


def test_a_persons_photo_that_we_wrote_to_is_checked_once_for_each_change_of_its_files(
    rated: RatedLibrary, monitor: SidecarMonitor
) -> None:
    rated.calibrate()
    photo_id = rated.add("a.jpg")
    rated.queue(photo_id)
    rate_jobs = RateJobs(rated.library, rated.state, JobSettings(), "test", FakeRoots())
    stage = RatingStage(rate_jobs, rated.state, SETTINGS, rated.writer)
    assert stage.work()
    with rated.library.writing() as session:
        photo_records.set_rating(session, photo_id, 5, "person")
    beside = rated.folder / "a.xmp"  # their next star, while no daemon ran
    beside.write_bytes(b"")
    rated.now = beside.stat().st_ctime
    for _ in range(2):
        os.utime(beside, (rated.now + 10.0, rated.now + 10.0))
        rated.now += 20.0
        assert monitor.check_all() == 1
        assert monitor.check_all() == 0
    beside.unlink()
    sidecar_of(rated.folder / "a.jpg").unlink()
    assert monitor.check_all() == 0, "a person's sidecar that is gone was not ours alone"


@pytest.mark.parametrize("held", ["rating_owner = 'person'", "rating_undone_at = '2020-01-01T00:00:00.000Z'"])
def test_a_photo_in_whose_files_only_a_person_writes_is_checked_once_for_each_change_of_its_sidecar(
    rated: RatedLibrary, monitor: SidecarMonitor, held: str
) -> None:
    photo, sidecar = rated.folder / "a.jpg", sidecar_of(rated.folder / "a.jpg")
    rated.add("a.jpg")
    rated.add("b.jpg")
    rated.write(f"update photos set {held} where file_name = 'a.jpg'")
    rated.now = time.time()
    assert monitor.check_all() == 0, "it has no sidecar"
    for content, mtime in ((PERSONS, 1e9), (CLEARED, 4e9)):  # synchronised; from a wrong clock
        sidecar.write_bytes(content)
        os.utime(sidecar, (mtime, mtime))
        os.utime(photo, (rated.now + 1e6, rated.now + 1e6))  # the clock of the camera is wrong
        rated.now = sidecar.stat().st_ctime + 0.2
        assert monitor.check_all() == 1
        assert monitor.check_all() == 0
        time.sleep(0.4)  # longer than that
    assert rated.jobs() == [("a.jpg", "rate", "ready", 0)]
    sidecar.unlink()
    assert monitor.check_all() == 0, "the library alone knows that rating now"
    sidecar.write_bytes(PERSONS)
    photo.unlink()
    assert monitor.check_all() == 0, "a sidecar without its photo is nobody's"


def test_a_persons_photo_that_was_renamed_to_where_a_sidecar_is_is_looked_at(
    rated: RatedLibrary, monitor: SidecarMonitor
) -> None:
    sidecar_of(rated.folder / "b.jpg").write_bytes(PERSONS)
    photo_id = rated.add("a.jpg")
    time.sleep(0.2)  # the sidecar is older than the look at it
    rated.write("update photos set rating_owner = 'person'")
    with rated.library.writing() as session:
        photo_records.mark_checked(session, [photo_id], time.time())
    time.sleep(0.2)
    (rated.folder / "a.jpg").rename(rated.folder / "b.jpg")
    see(rated, "b.jpg")
    rated.write("delete from jobs")  # it went with its disk
    rated.now = time.time()
    assert monitor.check_all() == 1
    assert monitor.check_all() == 0


class Swap:
    """Two rated photos whose names are swapped, but not those of their sidecars."""

    def __init__(self, rated: RatedLibrary) -> None:
        self.rated = rated
        rated.calibrate()
        rated.now = time.time() - 60.0
        self.photo_ids = [rated.add("a.jpg", 0.1), rated.add("b.jpg", 0.9)]
        self.sidecars = [sidecar_of(rated.folder / name) for name in ("a.jpg", "b.jpg")]
        rated.queue(*self.photo_ids)
        rate_jobs = RateJobs(rated.library, rated.state, JobSettings(), "test", FakeRoots())
        self.stage = RatingStage(rate_jobs, rated.state, SETTINGS, rated.writer)
        assert self.stage.work()
        assert self.stars() == [b"stars: 1", b"stars: 5"]
        self.mark_checked()
        time.sleep(0.2)  # the sidecars are older than the look at them, and only the photos change
        for old, new in (("a.jpg", "between.jpg"), ("b.jpg", "a.jpg"), ("between.jpg", "b.jpg")):
            (rated.folder / old).rename(rated.folder / new)
            see(rated, new)
        rated.now = time.time() + 1.0

    def stars(self) -> list[bytes]:
        return [sidecar.read_bytes() for sidecar in self.sidecars]

    def mark_checked(self) -> None:
        with self.rated.library.writing() as session:
            photo_records.mark_checked(session, self.photo_ids, time.time())

    def unplug(self) -> None:
        """Let the disk go away and come back; the work that the renames caused goes with it."""
        with self.rated.library.writing() as session:
            missing_photos.mark_missing(session, self.photo_ids, self.rated.now)
        assert self.rated.jobs() == []
        for name in ("a.jpg", "b.jpg"):
            see(self.rated, name)


def test_photos_that_swapped_names_just_before_their_disk_went_away_are_rated_anew(
    rated: RatedLibrary, monitor: SidecarMonitor
) -> None:
    swap = Swap(rated)
    swap.unplug()
    assert monitor.check_all() == 2
    assert swap.stage.work()
    assert swap.stars() == [b"stars: 5", b"stars: 1"]
    assert monitor.check_all() == 0


def test_a_renamed_photo_that_waits_for_its_sidecar_is_left_to_its_job(
    rated: RatedLibrary, monitor: SidecarMonitor
) -> None:
    swap = Swap(rated)
    later = timestamps.text(rated.now + 10.0)
    rated.write(f"update jobs set not_before = '{later}'")  # programs rename the sidecars a moment later
    assert monitor.check_all() == 0
    assert not swap.stage.work()
    assert swap.stars() == [b"stars: 1", b"stars: 5"]


@pytest.mark.parametrize("fails", ["lstat", "reading", "the share"])
def test_what_cannot_be_read_for_a_moment_is_looked_at_again(
    rated: RatedLibrary, monitor: SidecarMonitor, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    swap = Swap(rated)
    swap.unplug()

    def fail(*_: object) -> object:
        raise OSError(errno.EIO, "Input/output error")

    def no_answer(path: str, operation: Callable[[], object]) -> object:
        raise NoAnswer(f"{path} does not answer.")

    def never(*_: object) -> object:
        raise AssertionError("a share that does not answer was read")

    with monkeypatch.context() as patch:
        if fails == "lstat":
            patch.setattr(missed_edits, "_times_of", fail)
        elif fails == "reading":
            patch.setattr(missed_edits.safe_writer, "read_regular", fail)
        else:
            patch.setattr(rated.state.probe, "call", no_answer)
            patch.setattr(missed_edits.safe_writer, "read_regular", never)
        assert monitor.check_all() == 0
    assert monitor.check_all() == 2
    assert swap.stage.work()
    assert swap.stars() == [b"stars: 5", b"stars: 1"]


def test_a_persons_star_whose_sidecar_stayed_behind_as_the_disk_went_away_stays_in_the_library(
    rated: RatedLibrary, monitor: SidecarMonitor
) -> None:
    swap = Swap(rated)
    swap.unplug()
    rated.write("update photos set rating_owner = 'person', rating_in_file = 4")
    for sidecar in swap.sidecars:
        sidecar.unlink()
    assert monitor.check_all() == 0
    assert rated.rows("select distinct rating_owner, rating_in_file from photos") == [("person", 4)]


def test_a_time_in_the_future_proves_nothing_of_a_persons_photo(
    rated: RatedLibrary, monitor: SidecarMonitor
) -> None:
    swap = Swap(rated)
    swap.unplug()
    rated.write("update photos set rating_owner = 'person', ctime_ns = ctime_ns + 3600000000000")
    assert monitor.check_all() == 0
    rated.now += 4000.0
    assert monitor.check_all() == 2
    assert monitor.check_all() == 0


def test_the_other_sidecar_counts_once_ours_is_deleted_however_old_it_is(
    rated: RatedLibrary, monitor: SidecarMonitor
) -> None:
    rated.calibrate()
    rated.queue(rated.add("a.jpg"))
    rate_jobs = RateJobs(rated.library, rated.state, JobSettings(), "test", FakeRoots())
    assert RatingStage(rate_jobs, rated.state, SETTINGS, rated.writer).work()
    beside = rated.folder / "a.xmp"
    beside.write_bytes(b"")
    rated.now = beside.stat().st_ctime + 10
    assert monitor.check_all() == 1, "a new sidecar beside ours"
    assert monitor.check_all() == 0
    sidecar_of(rated.folder / "a.jpg").unlink()
    os.utime(rated.folder, (rated.now + 10, rated.now + 10))
    rated.now += 20
    assert monitor.check_all() == 1
    assert monitor.check_all() == 0


AHEAD_S = 7200.0


@pytest.mark.parametrize("is_edited", [True, False])
def test_an_edit_after_a_write_of_a_clock_that_was_ahead_is_found(
    rated: RatedLibrary, monitor: SidecarMonitor, is_edited: bool
) -> None:
    rated.calibrate()
    rated.now = time.time() + AHEAD_S
    rated.queue(rated.add("a.jpg"))
    rate_jobs = RateJobs(rated.library, rated.state, JobSettings(), "test", FakeRoots())
    assert RatingStage(rate_jobs, rated.state, SETTINGS, rated.writer).work()
    if is_edited:
        sidecar_of(rated.folder / "a.jpg").write_bytes(PERSONS)
    rated.now = time.time() + 60
    assert monitor.check_all() == is_edited
    rated.now += 60
    assert monitor.check_all() == 0


def test_an_edit_after_a_look_of_a_clock_that_was_ahead_is_found(
    rated: RatedLibrary, monitor: SidecarMonitor
) -> None:
    photo_id = rated.add("a.jpg")
    rated.write("update photos set rating_owner = 'person'")
    with rated.library.writing() as session:
        photo_records.mark_checked(session, [photo_id], time.time() + AHEAD_S)
    sidecar_of(rated.folder / "a.jpg").write_bytes(CLEARED)
    rated.now = time.time() + 60
    assert monitor.check_all() == 1
    assert monitor.check_all() == 0


def test_an_edit_is_found_though_its_disk_went_away_before_its_job(
    rated: RatedLibrary, monitor: SidecarMonitor
) -> None:
    rated.now = time.time() - 100
    rated.calibrate()
    photo_id = rated.add("a.jpg")
    rated.queue(photo_id)
    rate_jobs = RateJobs(rated.library, rated.state, JobSettings(), "test", FakeRoots())
    assert RatingStage(rate_jobs, rated.state, SETTINGS, rated.writer).work()
    sidecar_of(rated.folder / "a.jpg").write_bytes(PERSONS)
    rated.now = time.time() + 5
    assert monitor.check_all() == 1
    with rated.library.writing() as session:
        missing_photos.mark_missing(session, [photo_id], rated.now)
    assert rated.jobs() == []
    see(rated, "a.jpg")
    with rated.library.writing() as session:
        assert rating_queue.enqueue(session, rated.now) == 1  # as after each return
    assert rated.jobs() == [("a.jpg", "rate", "ready", 0)]
    with rated.library.writing() as session:
        assert rating_queue.enqueue(session, rated.now) == 0, "once"


def test_files_of_a_server_that_did_not_answer_are_checked_again(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_path: str, _operation: object) -> None:
        raise NoAnswer("It does not respond.")

    now = 1000.0
    monitor = SidecarMonitor(rated.library, rated.state, lambda: now)
    rated.now = time.time() - 100
    rated.calibrate()
    rated.queue(rated.add("a.jpg"))
    rate_jobs = RateJobs(rated.library, rated.state, JobSettings(), "test", FakeRoots())
    assert RatingStage(rate_jobs, rated.state, SETTINGS, rated.writer).work()
    sidecar_of(rated.folder / "a.jpg").write_bytes(PERSONS)
    rated.now = time.time() + 5
    with monkeypatch.context() as away:
        away.setattr(rated.state.probe, "call", silent)
        away.setattr(rated.state.probe, "hung_folders", lambda: ["/nas"])
        assert monitor.check_all() == 0
        away.setattr(monitor, "check_all", pytest.fail)
        now += UNANSWERED_S
        assert monitor.check(rated.writer) == 0, "not before the server answers"
    with monkeypatch.context() as away:
        away.setattr(rated.state.probe, "call", silent)
        assert monitor.check(rated.writer) == 0
    assert monitor.check(rated.writer) == 0, "not without a pause"
    now += UNANSWERED_S
    assert monitor.check(rated.writer) == 1
    now += UNANSWERED_S
    assert monitor.check(rated.writer) == 0, "they have been seen"


def test_one_server_that_stays_silent_hides_no_other_that_answers_again(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monitor = SidecarMonitor(rated.library, rated.state, lambda: now)
    checked: list[bool] = []

    def incomplete() -> int:
        checked.append(True)
        monitor._missed.is_complete = False
        return 0

    monkeypatch.setattr(monitor._missed, "queue", incomplete)
    monkeypatch.setattr(rated.state.probe, "hung_folders", lambda: ["/dead", "/slow"])
    monitor.check_all()
    monitor.check(rated.writer)
    assert len(checked) == 1
    monkeypatch.setattr(rated.state.probe, "hung_folders", lambda: ["/dead"])
    monitor.check(rated.writer)
    assert len(checked) == 2
    now += UNANSWERED_S
    monitor.check(rated.writer)
    assert len(checked) == 2, "the dead one is not asked again and again"
