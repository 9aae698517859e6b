"""Questions to file systems that may not answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maclip_daemon.errors import NoAnswer
from maclip_daemon.folders import filesystem_probe as patience_module
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.folders.root_health import resolved_as_far_as_it_answers

SHARE, DISK, OUTER = "/mnt/nas", "/home/me/Pictures", "/home/me/Photos"


@pytest.fixture
def server() -> Iterator[threading.Event]:
    """Set: it answers."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> FilesystemProbe:
    monkeypatch.setattr(
        patience_module,
        "polled_folders",
        lambda root: {SHARE: [SHARE], OUTER: [f"{OUTER}/nas"]}.get(root, []),
    )
    probe = FilesystemProbe(0.05)
    probe.look_at(SHARE)
    probe.look_at(DISK)
    probe.look_at(OUTER)
    return probe


def test_an_answer_and_an_error_come_through(probe: FilesystemProbe) -> None:
    def fail() -> None:
        raise TimeoutError("the answer of a server, too")

    for path in (f"{SHARE}/a.jpg", SHARE, f"{DISK}/a.jpg", "/elsewhere"):
        assert probe.ask(path, lambda: 42) == 42
        with pytest.raises(TimeoutError, match="of a server"):
            probe.ask(path, fail)


def test_a_local_disk_is_asked_by_whoever_asks(probe: FilesystemProbe) -> None:
    assert probe.ask(f"{DISK}/a.jpg", threading.current_thread) is threading.current_thread()
    assert probe.ask(f"{SHARE}-2/a.jpg", threading.current_thread) is threading.current_thread()
    assert probe.ask(f"{SHARE}/a.jpg", threading.current_thread) is not threading.current_thread()


def test_a_share_that_owes_an_answer_is_asked_nothing_more(
    probe: FilesystemProbe, server: threading.Event
) -> None:
    with pytest.raises(NoAnswer, match=f"{SHARE} does not answer"):
        probe.ask(f"{SHARE}/a.jpg", server.wait)
    assert probe.ask_or(f"{SHARE}/a.jpg", lambda: 42, otherwise=7) == 7
    assert probe.ask_or(f"{DISK}/a.jpg", lambda: 42, otherwise=7) == 42
    threads = threading.active_count()
    for _ in range(5):
        with pytest.raises(NoAnswer):
            probe.ask(f"{SHARE}/b.jpg", lambda: 42)
    assert threading.active_count() == threads
    server.set()
    deadline = time.monotonic() + 10
    while threading.active_count() == threads and time.monotonic() < deadline:
        time.sleep(0.01)
    assert probe.ask(f"{SHARE}/b.jpg", lambda: 42) == 42


def test_a_stop_ends_the_waiting(monkeypatch: pytest.MonkeyPatch, server: threading.Event) -> None:
    monkeypatch.setattr(patience_module, "polled_folders", lambda root: [root])
    stopping = threading.Event()
    probe = FilesystemProbe(3600.0, stopping)
    probe.look_at(SHARE)
    threading.Timer(0.05, stopping.set).start()
    with pytest.raises(NoAnswer):
        probe.ask(SHARE, server.wait)


def test_each_gives_all_items_or_says_that_they_ended(
    probe: FilesystemProbe, server: threading.Event
) -> None:
    def items(wait: Callable[[], object]) -> Iterator[int]:
        yield 1
        yield 2
        wait()
        yield 3

    assert list(probe.each(SHARE, items(lambda: None))) == [1, 2, 3]
    assert list(probe.each(DISK, items(lambda: None))) == [1, 2, 3]
    stream = probe.each(SHARE, items(server.wait))
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(NoAnswer):
        next(stream)


def test_a_share_below_a_local_folder_holds_up_nothing_but_itself(
    probe: FilesystemProbe, server: threading.Event
) -> None:
    with pytest.raises(NoAnswer, match=f"{OUTER}/nas does not answer"):
        probe.ask(f"{OUTER}/nas/2026/a.jpg", server.wait)
    assert probe.ask(f"{OUTER}/a.jpg", threading.current_thread) is threading.current_thread()
    with pytest.raises(NoAnswer, match=f"{OUTER} does not answer"):
        probe.ask_below(OUTER, server.wait)
    with pytest.raises(NoAnswer):
        next(probe.each(OUTER, iter([1])))
    assert probe.ask(f"{OUTER}/a.jpg", threading.current_thread) is threading.current_thread()
    assert probe.ask_below(DISK, threading.current_thread) is threading.current_thread()


def test_a_share_that_was_mounted_over_a_folder_is_noticed(
    monkeypatch: pytest.MonkeyPatch, probe: FilesystemProbe, server: threading.Event
) -> None:
    monkeypatch.setattr(patience_module, "polled_folders", lambda root: [root])
    assert probe.ask(DISK, threading.current_thread) is threading.current_thread()
    probe.look_at(DISK)
    with pytest.raises(NoAnswer):
        probe.ask(DISK, server.wait)


def test_links_are_resolved_up_to_where_no_server_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: threading.Event
) -> None:
    (tmp_path / "mnt" / "nas" / "photos").mkdir(parents=True)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "link").symlink_to("../mnt/nas")
    (tmp_path / "home" / "around").symlink_to(tmp_path / "home" / "around")
    typed = str(tmp_path / "home" / "link" / "photos")
    assert resolved_as_far_as_it_answers(typed, FilesystemProbe(10)) == str(
        tmp_path / "mnt" / "nas" / "photos"
    )
    read = Path.readlink

    def readlink(path: Path) -> Path:
        if path.is_relative_to(tmp_path / "mnt" / "nas"):
            server.wait()
        return read(path)

    monkeypatch.setattr(Path, "readlink", readlink)
    assert resolved_as_far_as_it_answers(typed, FilesystemProbe(0.05)) == str(
        tmp_path / "mnt" / "nas" / "photos"
    )
    around = str(tmp_path / "home" / "around" / "x")
    assert resolved_as_far_as_it_answers(around, FilesystemProbe(10)) == around
