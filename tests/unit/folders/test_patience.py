"""Questions to file systems that may not answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maclip_daemon.errors import NoAnswer
from maclip_daemon.folders import patience as patience_module
from maclip_daemon.folders.patience import Patience
from maclip_daemon.folders.roots import resolved_as_far_as_it_answers

SHARE, DISK, OUTER = "/mnt/nas", "/home/me/Pictures", "/home/me/Photos"


@pytest.fixture
def server() -> Iterator[threading.Event]:
    """Set: it answers."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Patience:
    monkeypatch.setattr(
        patience_module,
        "polled_folders",
        lambda root: {SHARE: [SHARE], OUTER: [f"{OUTER}/nas"]}.get(root, []),
    )
    patience = Patience(0.05)
    patience.look_at(SHARE)
    patience.look_at(DISK)
    patience.look_at(OUTER)
    return patience


def test_an_answer_and_an_error_come_through(patience: Patience) -> None:
    def fail() -> None:
        raise TimeoutError("the answer of a server, too")

    for path in (f"{SHARE}/a.jpg", SHARE, f"{DISK}/a.jpg", "/elsewhere"):
        assert patience.ask(path, lambda: 42) == 42
        with pytest.raises(TimeoutError, match="of a server"):
            patience.ask(path, fail)


def test_a_local_disk_is_asked_by_whoever_asks(patience: Patience) -> None:
    assert patience.ask(f"{DISK}/a.jpg", threading.current_thread) is threading.current_thread()
    assert patience.ask(f"{SHARE}-2/a.jpg", threading.current_thread) is threading.current_thread()
    assert patience.ask(f"{SHARE}/a.jpg", threading.current_thread) is not threading.current_thread()


def test_a_share_that_owes_an_answer_is_asked_nothing_more(
    patience: Patience, server: threading.Event
) -> None:
    with pytest.raises(NoAnswer, match=f"{SHARE} does not answer"):
        patience.ask(f"{SHARE}/a.jpg", server.wait)
    assert patience.ask_or(f"{SHARE}/a.jpg", lambda: 42, otherwise=7) == 7
    assert patience.ask_or(f"{DISK}/a.jpg", lambda: 42, otherwise=7) == 42
    threads = threading.active_count()
    for _ in range(5):
        with pytest.raises(NoAnswer):
            patience.ask(f"{SHARE}/b.jpg", lambda: 42)
    assert threading.active_count() == threads
    server.set()
    deadline = time.monotonic() + 10
    while threading.active_count() == threads and time.monotonic() < deadline:
        time.sleep(0.01)
    assert patience.ask(f"{SHARE}/b.jpg", lambda: 42) == 42


def test_a_stop_ends_the_waiting(monkeypatch: pytest.MonkeyPatch, server: threading.Event) -> None:
    monkeypatch.setattr(patience_module, "polled_folders", lambda root: [root])
    stopping = threading.Event()
    patience = Patience(3600.0, stopping)
    patience.look_at(SHARE)
    threading.Timer(0.05, stopping.set).start()
    with pytest.raises(NoAnswer):
        patience.ask(SHARE, server.wait)


def test_each_gives_all_items_or_says_that_they_ended(patience: Patience, server: threading.Event) -> None:
    def items(wait: Callable[[], object]) -> Iterator[int]:
        yield 1
        yield 2
        wait()
        yield 3

    assert list(patience.each(SHARE, items(lambda: None))) == [1, 2, 3]
    assert list(patience.each(DISK, items(lambda: None))) == [1, 2, 3]
    stream = patience.each(SHARE, items(server.wait))
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(NoAnswer):
        next(stream)


def test_a_share_below_a_local_folder_holds_up_nothing_but_itself(
    patience: Patience, server: threading.Event
) -> None:
    with pytest.raises(NoAnswer, match=f"{OUTER}/nas does not answer"):
        patience.ask(f"{OUTER}/nas/2026/a.jpg", server.wait)
    assert patience.ask(f"{OUTER}/a.jpg", threading.current_thread) is threading.current_thread()
    with pytest.raises(NoAnswer, match=f"{OUTER} does not answer"):
        patience.ask_below(OUTER, server.wait)
    with pytest.raises(NoAnswer):
        next(patience.each(OUTER, iter([1])))
    assert patience.ask(f"{OUTER}/a.jpg", threading.current_thread) is threading.current_thread()
    assert patience.ask_below(DISK, threading.current_thread) is threading.current_thread()


def test_a_share_that_was_mounted_over_a_folder_is_noticed(
    monkeypatch: pytest.MonkeyPatch, patience: Patience, server: threading.Event
) -> None:
    monkeypatch.setattr(patience_module, "polled_folders", lambda root: [root])
    assert patience.ask(DISK, threading.current_thread) is threading.current_thread()
    patience.look_at(DISK)
    with pytest.raises(NoAnswer):
        patience.ask(DISK, server.wait)


def test_links_are_resolved_up_to_where_no_server_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: threading.Event
) -> None:
    (tmp_path / "mnt" / "nas" / "photos").mkdir(parents=True)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "link").symlink_to("../mnt/nas")
    (tmp_path / "home" / "around").symlink_to(tmp_path / "home" / "around")
    typed = str(tmp_path / "home" / "link" / "photos")
    assert resolved_as_far_as_it_answers(typed, Patience(10)) == str(tmp_path / "mnt" / "nas" / "photos")
    read = Path.readlink

    def readlink(path: Path) -> Path:
        if path.is_relative_to(tmp_path / "mnt" / "nas"):
            server.wait()
        return read(path)

    monkeypatch.setattr(Path, "readlink", readlink)
    assert resolved_as_far_as_it_answers(typed, Patience(0.05)) == str(tmp_path / "mnt" / "nas" / "photos")
    around = str(tmp_path / "home" / "around" / "x")
    assert resolved_as_far_as_it_answers(around, Patience(10)) == around
