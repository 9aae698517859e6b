"""The discovery stage: what events become, the checks that other stages ask for, and dead watchers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from simulated_discovery import SimulatedDiscovery

from maclip_daemon.errors import EnvironmentUnfit
from maclip_daemon.folders.events import EventKind
from maclip_daemon.pipeline.discovery import discovery_stage
from maclip_daemon.settings import FolderSettings
from tests.rated_library import RatedLibrary


def contents(rated: RatedLibrary) -> list[list[tuple[Any, ...]]]:
    return [rated.rows(f"select * from {table}") for table in ("photos", "folders", "roots", "jobs")]


def test_a_file_that_settled_is_recorded_and_queued(discovery: SimulatedDiscovery) -> None:
    photo = discovery.rated.folder / "a.jpg"

    def arrive() -> None:
        photo.write_bytes(b"photo")
        discovery.emit(EventKind.FILE_CHANGED, photo)

    found_early: list[object] = []
    discovery.run(20, (5, arrive), (6.5, lambda: found_early.extend(discovery.photos())))
    assert found_early == [], "it may still be being written"
    assert discovery.photos() == [("a.jpg", "waiting")]
    assert discovery.rated.jobs() == [("a.jpg", "score", "ready", 0)]


def test_a_file_that_still_grows_is_recorded_when_it_is_whole(discovery: SimulatedDiscovery) -> None:
    photo = discovery.rated.folder / "a.jpg"

    def write(content: bytes) -> None:
        photo.write_bytes(content)
        if len(content) == 1:
            discovery.emit(EventKind.FILE_CHANGED, photo)

    pieces = [(5.0 + second, lambda size=second + 1: write(b"x" * size)) for second in range(6)]
    sizes: list[object] = []
    size = "select size from photos"
    discovery.run(20, *pieces, (11.5, lambda: sizes.extend(discovery.rated.rows(size))))
    assert sizes == []
    assert discovery.rated.rows(size) == [(6,)]


def test_the_first_scan_records_what_is_in_the_folder(discovery: SimulatedDiscovery) -> None:
    (discovery.rated.folder / "a.jpg").write_bytes(b"photo")
    discovery.run(1)
    assert discovery.photos() == [("a.jpg", "waiting")]
    assert discovery.stage.first_scan_began.is_set()
    assert discovery.root.report is not None
    assert (discovery.root.report.files, discovery.root.report.queued) == (1, 1)


def test_in_one_go_each_root_is_scanned_once_and_not_watched(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    discovery = SimulatedDiscovery(rated, monkeypatch, once=True)
    idle: list[bool] = [discovery.stage.is_idle]
    late = rated.folder / "late.jpg"
    discovery.run(
        1000, (5, lambda: late.write_bytes(b"x")), (6, lambda: idle.append(discovery.stage.is_idle))
    )
    assert discovery.photos() == []
    assert discovery.watchers == []
    assert idle == [False, True]


def test_without_events_the_next_scan_finds_a_new_file(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    discovery = SimulatedDiscovery(rated, monkeypatch, settings=FolderSettings(watch=False))
    early: list[object] = []
    new = rated.folder / "a.jpg"
    discovery.run(65, (5, lambda: new.write_bytes(b"x")), (58, lambda: early.extend(discovery.photos())))
    assert early == []
    assert discovery.photos() == [("a.jpg", "waiting")]


def test_a_deleted_file_is_missing_and_one_that_is_back_is_not(discovery: SimulatedDiscovery) -> None:
    for name in ("deleted.jpg", "back.jpg"):
        discovery.rated.add(name)

    def delete() -> None:
        (discovery.rated.folder / "deleted.jpg").unlink()
        for name in ("deleted.jpg", "back.jpg"):
            discovery.emit(EventKind.FILE_GONE, discovery.rated.folder / name)

    discovery.run(20, (5, delete))
    assert discovery.photos() == [("back.jpg", "scored"), ("deleted.jpg", "missing")]


def test_a_link_in_the_place_of_a_photo_makes_it_missing(
    discovery: SimulatedDiscovery, tmp_path: Path
) -> None:
    discovery.rated.add("a.jpg")
    photo = discovery.rated.folder / "a.jpg"

    def replace() -> None:
        photo.rename(tmp_path / "elsewhere.jpg")
        photo.symlink_to(tmp_path / "elsewhere.jpg")
        discovery.emit(EventKind.FILE_CHANGED, photo)

    discovery.run(20, (5, replace))
    assert discovery.photos() == [("a.jpg", "missing")]


def test_a_renamed_file_keeps_its_photo_and_is_rated_when_its_sidecar_is_renamed_too(
    discovery: SimulatedDiscovery,
) -> None:
    photo_id = discovery.rated.add("a.jpg")
    old, new = discovery.rated.folder / "a.jpg", discovery.rated.folder / "b.jpg"

    def rename() -> None:
        old.rename(new)
        discovery.emit(EventKind.FILE_MOVED, old, new)

    soon: list[object] = []
    discovery.run(20, (5, rename), (5.5, lambda: soon.extend(discovery.photos())))
    assert soon == [("b.jpg", "scored")], "before it settles"
    assert discovery.rated.rows("select id, file_name, state from photos") == [(photo_id, "b.jpg", "scored")]
    assert discovery.rated.jobs() == [("b.jpg", "rate", "ready", 0)]
    (job,) = discovery.rated.rows("select unixepoch(not_before) from jobs")
    assert job == (discovery.rated.now + discovery_stage.SIDECAR_RENAME_S,)


def test_a_new_file_that_is_renamed_while_it_settles_is_recorded_once(discovery: SimulatedDiscovery) -> None:
    old, new = discovery.rated.folder / "copying.jpg", discovery.rated.folder / "b.jpg"

    def arrive() -> None:
        old.write_bytes(b"photo")
        discovery.emit(EventKind.FILE_CHANGED, old)
        old.rename(new)
        discovery.emit(EventKind.FILE_MOVED, old, new)

    discovery.run(20, (5, arrive))
    assert discovery.photos() == [("b.jpg", "waiting")]


def test_a_deleted_folder_makes_its_photos_missing_unless_it_is_there_again(
    discovery: SimulatedDiscovery,
) -> None:
    discovery.rated.add("kept/a.jpg")
    discovery.rated.add("deleted/deep/b.jpg")
    folder = discovery.rated.folder

    def delete() -> None:
        (folder / "deleted/deep/b.jpg").unlink()
        (folder / "deleted/deep").rmdir()
        (folder / "deleted").rmdir()
        (folder / "kept/new.jpg").write_bytes(b"new")
        discovery.emit(EventKind.FOLDER_GONE, folder / "deleted")
        discovery.emit(EventKind.FOLDER_GONE, folder / "kept")

    discovery.run(20, (5, delete))
    assert discovery.photos() == [("a.jpg", "scored"), ("b.jpg", "missing"), ("new.jpg", "waiting")]


def test_a_renamed_folder_keeps_its_photos_and_is_scanned(discovery: SimulatedDiscovery) -> None:
    photo_id = discovery.rated.add("old/a.jpg")
    old, new = discovery.rated.folder / "old", discovery.rated.folder / "new"

    def rename() -> None:
        (old / "unsettled.jpg").write_bytes(b"x")
        old.rename(new)
        discovery.emit(EventKind.FOLDER_MOVED, old, new)

    query = "select path, file_name, photos.id from photos join folders on folders.id = folder_id"
    soon: list[object] = []
    discovery.run(20, (5, rename), (5.5, lambda: soon.extend(discovery.rated.rows(query))))
    assert soon == [(str(new), "a.jpg", photo_id)]
    assert [row[:2] for row in discovery.rated.rows(query)] == [
        (str(new), "a.jpg"),
        (str(new), "unsettled.jpg"),
    ]


def test_a_folder_that_appeared_is_scanned_alone(discovery: SimulatedDiscovery) -> None:
    folder = discovery.rated.folder

    def arrive() -> None:
        (folder / "new").mkdir()
        (folder / "new/a.jpg").write_bytes(b"x")
        (folder / "silent.jpg").write_bytes(b"x")
        discovery.emit(EventKind.RESCAN, folder / "new")

    discovery.run(20, (5, arrive))
    assert discovery.photos() == [("a.jpg", "waiting")]


@pytest.mark.parametrize("kind", [EventKind.OVERFLOW, EventKind.ERROR])
def test_after_lost_events_the_root_is_scanned(discovery: SimulatedDiscovery, kind: EventKind) -> None:
    new = discovery.rated.folder / "a.jpg"
    full_checks: list[int] = []

    def lose() -> None:
        full_checks.append(discovery.monitor.full_checks)
        new.write_bytes(b"x")
        discovery.emit(kind, discovery.rated.folder, reason="The queue overflowed.")

    early: list[object] = []
    discovery.run(20, (5, lose), (6, lambda: early.extend(discovery.photos())))
    assert early == [], "a storm of failures does not mean a storm of scans"
    assert discovery.photos() == [("a.jpg", "waiting")]
    is_new = discovery.monitor.full_checks > full_checks[0]
    assert is_new == (kind is EventKind.OVERFLOW), "the events of sidecars are lost too"


def test_more_events_than_the_queue_holds_lead_to_a_scan(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery_stage, "MAX_QUEUED_EVENTS", 2)
    discovery = SimulatedDiscovery(rated, monkeypatch)
    names = ["a.jpg", "b.jpg", "c.jpg"]

    def arrive() -> None:
        for name in names:
            (rated.folder / name).write_bytes(name.encode())
            discovery.emit(EventKind.FILE_CHANGED, rated.folder / name)
        assert discovery.root.lost_events

    discovery.run(20, (5, arrive))
    assert discovery.photos() == [(name, "waiting") for name in names]
    assert not discovery.root.lost_events


def test_events_of_sidecars_are_left_to_the_sidecar_monitor(discovery: SimulatedDiscovery) -> None:
    sidecar = discovery.rated.folder / "a.jpg.xmp"

    def arrive() -> None:
        sidecar.write_bytes(b"x")
        discovery.emit(EventKind.FILE_CHANGED, sidecar)
        assert discovery.root.debouncer.pending == 0
        idle.append(discovery.stage.is_idle)

    idle: list[bool] = []
    discovery.run(20, (5, arrive), (10, lambda: idle.append(discovery.stage.is_idle)))
    assert idle == [True, True]
    assert discovery.photos() == []


def test_asking_whether_a_photo_is_offline_changes_nothing(discovery: SimulatedDiscovery) -> None:
    discovery.rated.add("a.jpg")
    root, folder, photo = discovery.root, discovery.rated.folder, str(discovery.rated.folder / "a.jpg")

    def facts() -> tuple[object, ...]:
        return (
            contents(discovery.rated),
            (root.next_scan, root.health, root.is_doubted, root.lost_events, root.debouncer.pending),
            discovery.stage.is_idle,
            discovery.state.waits.list(),
        )

    def ask() -> None:
        before = facts()
        assert not discovery.stage.is_offline(photo)
        assert not discovery.stage.is_offline("/elsewhere/a.jpg"), "not the photo of a root"
        folder.rename(folder.with_name("unplugged"))
        assert discovery.stage.is_offline(photo)
        assert facts() == before

    discovery.run(20, (5, ask))
    assert discovery.photos() == [("a.jpg", "scored")]


def test_a_photo_that_is_checked_soon_is_read_again_when_it_settled(discovery: SimulatedDiscovery) -> None:
    photo = discovery.rated.folder / "a.jpg"
    discovery.rated.add("a.jpg")
    idle: list[bool] = []

    def check() -> None:
        photo.write_bytes(b"changed without an event")
        discovery.stage.check_photo_soon(str(photo))
        discovery.stage.check_photo_soon("/elsewhere/a.jpg")
        idle.append(discovery.stage.is_idle)

    discovery.run(20, (5, check))
    assert idle == [False]
    assert discovery.photos() == [("a.jpg", "waiting")]
    assert discovery.rated.jobs() == [("a.jpg", "score", "ready", 0)]


def test_a_root_that_is_checked_soon_is_offline_until_the_check(discovery: SimulatedDiscovery) -> None:
    photo = str(discovery.rated.folder / "a.jpg")
    discovery.rated.add("a.jpg")
    offline: list[bool] = []

    def check() -> None:
        discovery.stage.check_root_soon("/elsewhere/a.jpg")
        offline.append(discovery.stage.is_offline(photo))
        (discovery.rated.folder / "new.jpg").write_bytes(b"x")
        discovery.stage.check_root_soon(photo)
        offline.append(discovery.stage.is_offline(photo))

    discovery.run(20, (5, check), (7, lambda: offline.append(discovery.stage.is_offline(photo))))
    assert offline == [False, True, False]
    assert discovery.photos() == [("a.jpg", "scored"), ("new.jpg", "waiting")], "the check comes with a scan"


def test_a_root_that_is_doubted_during_its_scan_is_checked_again_at_once(
    discovery: SimulatedDiscovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = str(discovery.rated.folder / "a.jpg")
    discovery.rated.add("a.jpg")
    scan, offline = discovery.root.scan, []

    def scan_while_a_decoder_fails(start: str | None = None) -> object:
        report = scan(start)
        monkeypatch.undo()
        discovery.stage.check_root_soon(photo)
        return report

    monkeypatch.setattr(discovery.root, "scan", scan_while_a_decoder_fails)
    discovery.run(20, (10, lambda: offline.append(discovery.stage.is_offline(photo))))
    assert offline == [False]


def test_a_root_that_is_found_away_by_an_event_is_checked_again_soon(discovery: SimulatedDiscovery) -> None:
    folder = discovery.rated.folder
    discovery.rated.add("a.jpg")
    away = folder.with_name("away")
    states: list[object] = []

    def leave() -> None:
        folder.rename(away)
        discovery.emit(EventKind.RESCAN, folder / "new")

    discovery.run(
        40,
        (5, leave),
        (12, lambda: states.extend(discovery.photos())),
        (13, lambda: away.rename(folder)),
    )
    assert states == [("a.jpg", "missing")]
    assert discovery.photos() == [("a.jpg", "scored")]


@pytest.mark.parametrize("by_folder", [False, True])
def test_the_sidecars_of_photos_that_return_are_looked_at(
    discovery: SimulatedDiscovery, by_folder: bool
) -> None:
    """A person may have rated them while they were elsewhere."""
    folder = discovery.rated.folder / "trip"
    away = discovery.rated.folder.with_name("away")
    folder.mkdir()
    discovery.rated.add("trip/a.jpg")
    checks: list[int] = []

    def leave() -> None:
        folder.rename(away)
        discovery.emit(EventKind.FOLDER_GONE, folder)

    def come_back() -> None:
        checks.append(discovery.monitor.full_checks)
        away.rename(folder)
        if by_folder:
            discovery.emit(EventKind.RESCAN, folder)
        else:
            discovery.emit(EventKind.FILE_CHANGED, folder / "a.jpg")

    discovery.run(20, (5, leave), (10, come_back))
    assert discovery.photos() == [("a.jpg", "scored")]
    assert discovery.monitor.full_checks == checks[0] + 1


def test_a_dead_watcher_is_replaced_ever_more_slowly_and_a_scan_finds_what_it_missed(
    discovery: SimulatedDiscovery,
) -> None:
    died: list[float] = []

    def die() -> None:
        died.append(discovery.clock.now)
        discovery.watchers[-1].alive = False
        (discovery.rated.folder / f"{len(died)}.jpg").write_bytes(b"%d" % len(died))

    discovery.run(80, (10, die), (20, die), (40, die))
    pauses = [new.started_at - moment for moment, new in zip(died, discovery.watchers[1:], strict=True)]
    assert pauses == [pytest.approx(pause, abs=1.01) for pause in (5, 10, 20)]
    assert all(watcher.is_closed for watcher in discovery.watchers)
    assert [name for name, _ in discovery.photos()] == ["1.jpg", "2.jpg", "3.jpg"]
    assert discovery.monitor.full_checks == 4, "at the start and after each death"


def test_a_root_that_cannot_be_watched_is_scanned_as_often_as_one_without_events(
    discovery: SimulatedDiscovery,
) -> None:
    discovery.problem = EnvironmentUnfit("No watches are left.")
    new = discovery.rated.folder / "a.jpg"
    discovery.run(65, (5, lambda: new.write_bytes(b"x")))
    assert discovery.photos() == [("a.jpg", "waiting")]
    assert discovery.root.description()["warnings"] == ["No watches are left."]
    assert not discovery.root.description()["events"]


def test_watchers_are_closed_when_the_run_stops(discovery: SimulatedDiscovery) -> None:
    discovery.run(5)
    assert [watcher.is_closed for watcher in discovery.watchers] == [True]
