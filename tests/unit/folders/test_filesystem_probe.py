"""Calls to file systems that may not answer."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maclip_daemon.errors import NoAnswer
from maclip_daemon.folders import filesystem_probe
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.folders.root_health import resolve_until_hung

SHARE, DISK, OUTER = "/mnt/nas", "/home/me/Pictures", "/home/me/Photos"


@pytest.fixture
def server() -> Iterator[threading.Event]:
    """Return the event whose setting makes the server answer."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> FilesystemProbe:
    monkeypatch.setattr(
        filesystem_probe,
        "polled_folders",
        lambda root: {SHARE: [SHARE], OUTER: [f"{OUTER}/nas"]}.get(root, []),
    )
    probe = FilesystemProbe(60)
    probe.refresh_mounts(SHARE)
    probe.refresh_mounts(DISK)
    probe.refresh_mounts(OUTER)
    return probe


@contextlib.contextmanager
def in_a_hurry(probe: FilesystemProbe) -> Iterator[None]:
    """Let calls time out soon: only for those that are not to succeed."""
    probe._timeout_s, before = 0.05, probe._timeout_s
    yield
    probe._timeout_s = before


def test_results_and_errors_are_passed_on(probe: FilesystemProbe) -> None:
    def fail() -> None:
        raise TimeoutError("raised by a server, too")

    for path in (f"{SHARE}/a.jpg", SHARE, f"{DISK}/a.jpg", "/elsewhere"):
        assert probe.call(path, lambda: 42) == 42
        with pytest.raises(TimeoutError, match="by a server"):
            probe.call(path, fail)


def test_only_calls_to_network_disks_use_a_thread(probe: FilesystemProbe) -> None:
    assert probe.call(f"{DISK}/a.jpg", threading.current_thread) is threading.current_thread()
    assert probe.call(f"{SHARE}-2/a.jpg", threading.current_thread) is threading.current_thread()
    assert probe.call(f"{SHARE}/a.jpg", threading.current_thread) is not threading.current_thread()


def test_a_hung_share_gets_no_further_calls_until_it_answers(
    probe: FilesystemProbe, server: threading.Event
) -> None:
    with in_a_hurry(probe), pytest.raises(NoAnswer, match=f"{SHARE} does not answer"):
        probe.call(f"{SHARE}/a.jpg", server.wait)
    assert probe.call_or(f"{SHARE}/a.jpg", lambda: 42, default=7) == 7
    assert probe.call_or(f"{DISK}/a.jpg", lambda: 42, default=7) == 42
    threads = threading.active_count()
    for _ in range(5):
        with pytest.raises(NoAnswer):
            probe.call(f"{SHARE}/b.jpg", lambda: 42)
    assert threading.active_count() <= threads
    server.set()
    deadline = time.monotonic() + 60
    while probe.hung_folders() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert probe.call(f"{SHARE}/b.jpg", lambda: 42) == 42


def test_a_stop_ends_the_wait_for_a_server(monkeypatch: pytest.MonkeyPatch, server: threading.Event) -> None:
    monkeypatch.setattr(filesystem_probe, "polled_folders", lambda root: [root])
    stopping = threading.Event()
    probe = FilesystemProbe(3600.0, stopping)
    probe.refresh_mounts(SHARE)
    threading.Timer(0.05, stopping.set).start()
    with pytest.raises(NoAnswer):
        probe.call(SHARE, server.wait)


def test_iteration_yields_all_items_or_raises(probe: FilesystemProbe, server: threading.Event) -> None:
    def items(wait: Callable[[], object]) -> Iterator[int]:
        yield 1
        yield 2
        wait()
        yield 3

    assert list(probe.iterate(SHARE, items(lambda: None))) == [1, 2, 3]
    assert list(probe.iterate(DISK, items(lambda: None))) == [1, 2, 3]
    stream = probe.iterate(SHARE, items(server.wait))
    assert [next(stream), next(stream)] == [1, 2]
    with in_a_hurry(probe), pytest.raises(NoAnswer):
        next(stream)


def test_a_hung_share_below_a_local_folder_blocks_only_itself(
    probe: FilesystemProbe, server: threading.Event
) -> None:
    with in_a_hurry(probe), pytest.raises(NoAnswer, match=f"{OUTER}/nas does not answer"):
        probe.call(f"{OUTER}/nas/2026/a.jpg", server.wait)
    assert probe.call(f"{OUTER}/a.jpg", threading.current_thread) is threading.current_thread()
    with in_a_hurry(probe), pytest.raises(NoAnswer, match=f"{OUTER} does not answer"):
        probe.call_below(OUTER, server.wait)
    with pytest.raises(NoAnswer):
        next(probe.iterate(OUTER, iter([1])))
    assert probe.call(f"{OUTER}/a.jpg", threading.current_thread) is threading.current_thread()
    assert probe.call_below(DISK, threading.current_thread) is threading.current_thread()


def test_a_share_mounted_over_a_folder_is_found_by_a_refresh(
    monkeypatch: pytest.MonkeyPatch, probe: FilesystemProbe, server: threading.Event
) -> None:
    monkeypatch.setattr(filesystem_probe, "polled_folders", lambda root: [root])
    assert probe.call(DISK, threading.current_thread) is threading.current_thread()
    probe.refresh_mounts(DISK)
    with in_a_hurry(probe), pytest.raises(NoAnswer):
        probe.call(DISK, server.wait)


def test_symlinks_are_resolved_until_a_server_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: threading.Event
) -> None:
    (tmp_path / "mnt" / "nas" / "photos").mkdir(parents=True)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "link").symlink_to("../mnt/nas")
    (tmp_path / "home" / "around").symlink_to(tmp_path / "home" / "around")
    typed = str(tmp_path / "home" / "link" / "photos")
    assert resolve_until_hung(typed, FilesystemProbe(10)) == str(tmp_path / "mnt" / "nas" / "photos")
    read = Path.readlink

    def readlink(path: Path) -> Path:
        if path.is_relative_to(tmp_path / "mnt" / "nas"):
            server.wait()
        return read(path)

    monkeypatch.setattr(Path, "readlink", readlink)
    assert resolve_until_hung(typed, FilesystemProbe(1)) == str(tmp_path / "mnt" / "nas" / "photos")
    around = str(tmp_path / "home" / "around" / "x")
    assert resolve_until_hung(around, FilesystemProbe(10)) == around
