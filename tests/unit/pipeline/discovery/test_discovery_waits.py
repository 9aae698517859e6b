"""The waits that discovery begins and ends: roots that are offline, hung servers, settling files."""

from __future__ import annotations

import pytest
from simulated_discovery import SimulatedDiscovery

from maclip_daemon.folders.events import EventKind
from maclip_daemon.pipeline.waits import Wait


def test_photos_of_a_root_wait_while_it_is_offline_and_come_back_with_it(
    discovery: SimulatedDiscovery,
) -> None:
    discovery.rated.add("a.jpg")
    discovery.rated.add("b.jpg", score=None)
    folder = discovery.rated.folder
    unplugged = folder.with_name("unplugged")
    seen: list[tuple[Wait | None, list[tuple[str, str]]]] = []

    def unplug() -> None:
        folder.rename(unplugged)
        discovery.stage.check_root_soon(str(folder / "a.jpg"))

    def observe() -> None:
        seen.append((discovery.wait_for("root", folder), discovery.photos()))

    discovery.run(
        40, (5, unplug), (8, observe), (18, observe), (20, lambda: unplugged.rename(folder)), (32, observe)
    )
    (offline, missing), (still, _), (online, back) = seen
    assert offline is not None
    assert offline.ended_by == "check"
    assert "is gone. Connect its disk" in offline.reason
    assert offline.until == pytest.approx(discovery.clock.now - 40 + 5 + 10, abs=2), "the next check"
    assert missing == [("a.jpg", "missing"), ("b.jpg", "missing")]
    assert still is not None
    assert still.since == offline.since
    assert online is None
    assert back == [("a.jpg", "scored"), ("b.jpg", "waiting")]
    assert discovery.rated.jobs() == [("b.jpg", "score", "ready", 0)]
    assert [watcher.is_closed for watcher in discovery.watchers] == [True, True], "one before, one after"
    assert discovery.root.description()["warnings"] == [], "the first watcher did not die"


def test_a_hung_server_waits_until_it_answers(
    discovery: SimulatedDiscovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung = ["/net/one", "/net/two"]
    monkeypatch.setattr(discovery.state.probe, "hung_folders", lambda: list(hung))
    seen: list[list[str]] = []

    def observe() -> None:
        seen.append([str(wait.resource) for wait in discovery.state.waits.list()])

    discovery.run(20, (3, observe), (4, lambda: hung.remove("/net/one")), (8, observe))
    assert seen == [["server /net/one", "server /net/two"], ["server /net/two"]]
    wait = discovery.wait_for("server", "/net/two")
    assert wait is not None
    assert (wait.reason, wait.until) == ("The folder /net/two does not answer.", None)


def test_settling_files_are_a_wait_until_they_settled(discovery: SimulatedDiscovery) -> None:
    folder = discovery.rated.folder
    seen: list[Wait | None] = []

    def arrive() -> None:
        for name in ("a.jpg", "b.jpg"):
            (folder / name).write_bytes(name.encode())
            discovery.emit(EventKind.FILE_CHANGED, folder / name)

    def observe() -> None:
        seen.append(discovery.wait_for("settling", folder))

    discovery.run(20, (3, observe), (5, arrive), (6.5, observe), (10, observe))
    before, during, after = seen
    assert before is None
    assert during is not None
    assert during.reason == "Changed moments ago, and may not be complete: 2."
    assert (during.since, during.until) == (discovery.clock.now - 15, discovery.clock.now - 13)
    assert after is None


def test_files_that_a_scan_finds_too_young_settle_before_they_are_recorded(
    discovery: SimulatedDiscovery,
) -> None:
    discovery.clock.files_age_s = 0.0
    folder = discovery.rated.folder
    (folder / "a.jpg").write_bytes(b"x")
    seen: list[tuple[bool, list[tuple[str, str]]]] = []

    def observe() -> None:
        seen.append((discovery.wait_for("settling", folder) is not None, discovery.photos()))

    discovery.run(10, (1, observe), (5, observe))
    assert seen == [(True, []), (False, [("a.jpg", "waiting")])]


def test_nothing_settles_in_a_root_that_is_offline(discovery: SimulatedDiscovery) -> None:
    folder = discovery.rated.folder
    discovery.rated.add("a.jpg")
    seen: list[bool] = []

    def arrive() -> None:
        (folder / "new.jpg").write_bytes(b"x")
        discovery.emit(EventKind.RESCAN, folder)

    def observe() -> None:
        seen.append(discovery.wait_for("settling", folder) is not None)

    def hide() -> None:
        observe()
        folder.rename(folder.with_name("unplugged"))
        discovery.stage.check_root_soon(str(folder / "a.jpg"))

    discovery.run(12, (5, arrive), (6, hide), (6.5, observe))
    assert seen == [True, False]
    assert discovery.photos() == [("a.jpg", "missing")]
