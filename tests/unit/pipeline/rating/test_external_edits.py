"""Sidecars that other programs change: noted by the watcher, checked once they are quiet."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from maclip_daemon.folders.events import EventKind, FolderEvent
from maclip_daemon.library.photos import photo_records
from maclip_daemon.pipeline.rating import external_edits, missed_edits
from maclip_daemon.pipeline.rating.external_edits import DEBOUNCE_S, SidecarMonitor
from maclip_daemon.pipeline.rating.rate_jobs import RateJobs
from maclip_daemon.pipeline.rating.rating_stage import RatingStage
from maclip_daemon.settings import JobSettings
from tests.rated_library import CLEARED, PERSONS, SETTINGS, FakeRoots, RatedLibrary, sidecar_of

CHANGED, GONE, MOVED = EventKind.FILE_CHANGED, EventKind.FILE_GONE, EventKind.FILE_MOVED


class Monotonic:
    """A clock that only the test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def monotonic() -> Monotonic:
    return Monotonic()


@pytest.fixture
def monitor(rated: RatedLibrary, monotonic: Monotonic) -> SidecarMonitor:
    return SidecarMonitor(rated.library, rated.state, monotonic)


def check_after(seconds: float, monitor: SidecarMonitor, rated: RatedLibrary, monotonic: Monotonic) -> int:
    monotonic.now += seconds
    return monitor.check(rated.writer)


@pytest.mark.parametrize(
    ("event", "about_photos"),
    [
        (FolderEvent(CHANGED, "/a.jpg"), FolderEvent(CHANGED, "/a.jpg")),
        (FolderEvent(CHANGED, "/a.jpg.xmp"), None),
        (FolderEvent(GONE, "/a.jpg"), FolderEvent(GONE, "/a.jpg")),
        (FolderEvent(GONE, "/a.XMP"), None),
        (FolderEvent(MOVED, "/a.jpg", "/b.jpg"), FolderEvent(MOVED, "/a.jpg", "/b.jpg")),
        (FolderEvent(MOVED, "/a.xmp", "/b.xmp"), None),
        (FolderEvent(MOVED, "/a.jpg", "/b.xmp"), FolderEvent(GONE, "/a.jpg")),
        (FolderEvent(MOVED, "/a.xmp", "/b.jpg"), FolderEvent(CHANGED, "/b.jpg")),
        (FolderEvent(EventKind.FOLDER_GONE, "/a.xmp"), FolderEvent(EventKind.FOLDER_GONE, "/a.xmp")),
    ],
)
def test_an_event_about_a_sidecar_is_none_about_photos(
    monitor: SidecarMonitor, event: FolderEvent, about_photos: FolderEvent | None
) -> None:
    assert monitor.on_event(event) == about_photos


def test_a_persons_rating_is_noticed_once_its_sidecar_is_quiet(
    rated: RatedLibrary, monitor: SidecarMonitor, monotonic: Monotonic
) -> None:
    photo = rated.folder / "a.jpg"
    rated.add("a.jpg")
    sidecar_of(photo).write_bytes(PERSONS)
    monitor.on_event(FolderEvent(CHANGED, str(sidecar_of(photo))))
    assert check_after(DEBOUNCE_S - 1, monitor, rated, monotonic) == 0
    monitor.on_event(FolderEvent(CHANGED, str(sidecar_of(photo))))
    assert check_after(DEBOUNCE_S - 0.5, monitor, rated, monotonic) == 0, "it was written to again meanwhile"
    assert rated.jobs() == []
    assert check_after(1, monitor, rated, monotonic) == 1
    assert rated.jobs() == [("a.jpg", "rate", "ready", 0)]
    assert check_after(1000, monitor, rated, monotonic) == 0


def test_a_change_without_a_persons_rating_is_not_answered(
    rated: RatedLibrary, monitor: SidecarMonitor, monotonic: Monotonic
) -> None:
    rated.add("a.jpg")
    sidecar = sidecar_of(rated.folder / "a.jpg")
    sidecar.write_bytes(b"a title, and no rating")
    monitor.on_event(FolderEvent(CHANGED, str(sidecar)))
    assert check_after(DEBOUNCE_S, monitor, rated, monotonic) == 0
    assert rated.jobs() == []


def test_a_sidecar_that_held_a_persons_rating_is_looked_at_whatever_it_holds_now(
    rated: RatedLibrary, monitor: SidecarMonitor, monotonic: Monotonic
) -> None:
    rated.add("a.jpg")
    rated.write("update photos set rating_owner = 'person', rating_in_file = 5")
    sidecar = sidecar_of(rated.folder / "a.jpg")
    sidecar.write_bytes(CLEARED)
    monitor.on_event(FolderEvent(CHANGED, str(sidecar)))
    assert check_after(DEBOUNCE_S, monitor, rated, monotonic) == 1


def test_more_sidecars_than_can_be_remembered_lead_to_a_check_of_all_rated_photos(
    rated: RatedLibrary, monitor: SidecarMonitor, monotonic: Monotonic, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    full_checks: list[int] = []
    monkeypatch.setattr(external_edits, "is_changed", lambda path, ours: checked.append(path))
    monkeypatch.setattr(monitor, "check_all", lambda: full_checks.append(1) or 0)
    monkeypatch.setattr(external_edits, "MAX_PENDING", 3)
    paths = [str(rated.folder / f"{name}.jpg.xmp") for name in "abcd"]
    for path in paths:
        Path(path).touch()
    for path in (*paths[:3], paths[0]):
        monitor.on_event(FolderEvent(CHANGED, path))
    check_after(DEBOUNCE_S, monitor, rated, monotonic)
    assert (checked, full_checks) == (paths[:3], [])
    for path in (*paths, paths[0]):
        monitor.on_event(FolderEvent(CHANGED, path))
    check_after(DEBOUNCE_S, monitor, rated, monotonic)
    assert full_checks == [1]
    check_after(DEBOUNCE_S, monitor, rated, monotonic)
    assert full_checks == [1]


def test_a_huge_sidecar_is_not_read(tmp_path: Path) -> None:
    huge = tmp_path / "a.xmp"
    huge.write_bytes(b"x")
    assert missed_edits.is_changed(str(huge), None)
    with huge.open("r+b") as file:
        file.truncate(1 << 34)
    assert not missed_edits.is_changed(str(huge), None)


def test_a_pending_check_follows_its_renamed_folder_and_is_repeated_until_the_photo_is_known(
    rated: RatedLibrary, monitor: SidecarMonitor, monotonic: Monotonic, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    monkeypatch.setattr(external_edits, "is_changed", lambda path, ours: checked.append(path) or True)
    old, new = str(rated.folder / "old"), str(rated.folder / "new")
    monitor.on_event(FolderEvent(CHANGED, f"{old}/in/a.jpg.xmp"))
    monitor.on_event(FolderEvent(CHANGED, f"{old}er.xmp"))
    moved = FolderEvent(EventKind.FOLDER_MOVED, old, new)
    assert monitor.on_event(moved) == moved
    Path(new, "in").mkdir(parents=True)
    Path(new, "in", "a.jpg.xmp").write_bytes(PERSONS)
    assert check_after(DEBOUNCE_S, monitor, rated, monotonic) == 0, "its photo is not known yet"
    assert check_after(DEBOUNCE_S, monitor, rated, monotonic) == 0, "too early for the next check"
    assert checked == [f"{new}/in/a.jpg.xmp"], "the other one does not exist, and is not read"
    rated.add("new/in/a.jpg")
    assert check_after(DEBOUNCE_S, monitor, rated, monotonic) == 1


def test_a_sidecar_without_a_photo_is_given_up_after_a_minute(
    rated: RatedLibrary, monitor: SidecarMonitor, monotonic: Monotonic, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    monkeypatch.setattr(external_edits, "is_changed", lambda path, ours: checked.append(path) or True)
    lone = rated.folder / "lone.xmp"
    lone.touch()
    monitor.on_event(FolderEvent(CHANGED, str(lone)))
    for _ in range(10):
        check_after(60, monitor, rated, monotonic)
    assert checked == [str(lone)] * (1 + external_edits.MAX_RECHECKS)


def test_a_full_check_queues_the_photos_whose_files_are_newer_than_our_last_write(
    rated: RatedLibrary, monitor: SidecarMonitor, monotonic: Monotonic
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
    assert check_after(0, monitor, rated, monotonic) == 1
    assert check_after(0, monitor, rated, monotonic) == 0, "once for each request"


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


@pytest.mark.parametrize("held", ["rating_owner = 'person'", "rating_undone_at = '2026'"])
def test_a_photo_in_whose_files_only_a_person_writes_is_checked_once_for_each_change(
    rated: RatedLibrary, monitor: SidecarMonitor, held: str
) -> None:
    rated.add("a.jpg")
    rated.add("b.jpg")
    rated.write(f"update photos set {held} where file_name = 'a.jpg'")
    sidecar = sidecar_of(rated.folder / "a.jpg")
    sidecar.write_bytes(PERSONS)
    rated.now = sidecar.stat().st_ctime
    for _ in range(2):
        os.utime(sidecar, (rated.now + 10.0, rated.now + 10.0))
        rated.now += 20.0
        assert monitor.check_all() == 1
        assert monitor.check_all() == 0
    assert rated.jobs() == [("a.jpg", "rate", "ready", 0)]
    sidecar.unlink()
    assert monitor.check_all() == 0, "the library alone knows that rating now"


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
