"""Sidecars that other programs change: noted by the watcher, checked once they are quiet."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import NoReturn

import pytest

from maclip_daemon.errors import EnvironmentUnfit, MaclipError, Poison, Transient, WriteRefused
from maclip_daemon.folders.events import EventKind, FolderEvent
from maclip_daemon.metadata.records import FoundRating
from maclip_daemon.pipeline.rating import external_edits
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
    monkeypatch.setattr(external_edits, "is_changed", lambda path, ours: bool(checked.append(path)))
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


@pytest.mark.parametrize("why", ["missing", "busy", "unreadable"])
def test_a_sidecar_that_tells_nothing_yet_is_looked_at_again(
    rated: RatedLibrary,
    monitor: SidecarMonitor,
    monotonic: Monotonic,
    monkeypatch: pytest.MonkeyPatch,
    why: str,
) -> None:
    photo = rated.folder / "a.jpg"
    rated.add("a.jpg")
    sidecar_of(photo).write_bytes(PERSONS)
    monitor.on_event(FolderEvent(CHANGED, str(sidecar_of(photo))))

    def busy(*_: object) -> FoundRating:
        raise Transient("The metadata process ended.")

    with monkeypatch.context() as context:
        if why == "missing":  # photo and sidecar come back one by one
            rated.write("update photos set state = 'missing'")
        elif why == "busy":
            context.setattr(rated.writer, "inspect", busy)
        else:
            context.setattr(external_edits, "is_changed", lambda path, ours: None)
        assert check_after(DEBOUNCE_S, monitor, rated, monotonic) == 0
    rated.write("update photos set state = 'scored'")
    assert check_after(3 * DEBOUNCE_S, monitor, rated, monotonic) == 1
    assert rated.jobs() == [("a.jpg", "rate", "ready", 0)]


def test_a_sidecar_of_a_photo_that_has_no_score_yet_is_looked_at_once(
    rated: RatedLibrary, monitor: SidecarMonitor, monotonic: Monotonic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its stars are looked at when they are due."""
    rated.add("a.jpg")
    rated.write("update photos set state = 'waiting'")
    sidecar = sidecar_of(rated.folder / "a.jpg")
    sidecar.write_bytes(PERSONS)
    checked: list[str] = []
    monkeypatch.setattr(external_edits, "is_changed", lambda path, ours: checked.append(path) or True)
    monitor.on_event(FolderEvent(CHANGED, str(sidecar)))
    for _ in range(5):
        check_after(60, monitor, rated, monotonic)
    assert checked == [str(sidecar)]


def test_checks_of_all_photos_take_at_most_a_tenth_of_the_time(
    rated: RatedLibrary, monitor: SidecarMonitor, monotonic: Monotonic, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[float] = []

    def check_all() -> int:
        began.append(monotonic.now)
        monotonic.now += 10
        return 0

    monkeypatch.setattr(monitor, "check_all", check_all)
    for _ in range(300):  # photos that come back one by one
        monitor.request_full_check()
        check_after(1, monitor, rated, monotonic)
    assert len(began) == 4
    assert all(later - earlier >= 100 for earlier, later in itertools.pairwise(began))


def test_an_edit_that_could_not_be_read_for_minutes_is_found_afterwards(
    rated: RatedLibrary, monitor: SidecarMonitor, monotonic: Monotonic, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object) -> NoReturn:
        raise EnvironmentUnfit("The metadata process does not start.")

    rated.now = time.time() - 100
    rated.calibrate()
    rated.queue(rated.add("a.jpg"))
    rate_jobs = RateJobs(rated.library, rated.state, JobSettings(), "test", FakeRoots())
    assert RatingStage(rate_jobs, rated.state, SETTINGS, rated.writer).work()
    rated.now = time.time() + 5
    sidecar = sidecar_of(rated.folder / "a.jpg")
    sidecar.write_bytes(PERSONS)
    monitor.on_event(FolderEvent(CHANGED, str(sidecar)))
    monkeypatch.setattr(rated.writer, "inspect", broken)
    assert sum(check_after(1, monitor, rated, monotonic) for _ in range(100)) == 1
    assert rated.jobs() == [("a.jpg", "rate", "ready", 0)]


@pytest.mark.parametrize("error", [Poison("It is no XMP."), WriteRefused("It is a symbolic link.")])
def test_a_damaged_sidecar_costs_no_full_check(
    rated: RatedLibrary,
    monitor: SidecarMonitor,
    monotonic: Monotonic,
    monkeypatch: pytest.MonkeyPatch,
    error: MaclipError,
) -> None:
    def damaged(*_arguments: object) -> NoReturn:
        raise error

    rated.add("a.jpg")
    sidecar = sidecar_of(rated.folder / "a.jpg")
    sidecar.write_bytes(PERSONS)
    monitor.on_event(FolderEvent(CHANGED, str(sidecar)))
    monkeypatch.setattr(rated.writer, "inspect", damaged)
    monkeypatch.setattr(monitor, "check_all", pytest.fail)
    assert sum(check_after(1, monitor, rated, monotonic) for _ in range(100)) == 0
