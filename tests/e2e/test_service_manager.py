"""What the service manager hears from a real daemon, over a real notification socket."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.homes import Home, make_photo, make_photos, until


class Manager:
    """The manager's end of the socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)
        self.heard: list[str] = []

    def lines(self) -> list[str]:
        while True:
            try:
                self.heard += self.socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self.heard

    def has(self, line: str) -> bool:
        return any(heard.startswith(line) for heard in self.lines())


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify.sock")
    yield manager
    manager.socket.close()


def test_ready_watchdog_reloading_and_stopping_are_told_in_this_order(home: Home, manager: Manager) -> None:
    make_photos(home.photos, 2)
    daemon = home.daemon(NOTIFY_SOCKET=str(manager.path), WATCHDOG_USEC="2000000")
    until(lambda: manager.has("READY=1"), "READY")
    assert home.sql("select count(*) from roots") == [(1,)]
    until(lambda: manager.has("WATCHDOG=1"), "a sign of life")
    manager.heard.clear()
    daemon.send_signal(signal.SIGHUP)
    until(lambda: manager.has("READY=1"), "READY after the reload")
    heard = manager.lines()
    assert heard.index("RELOADING=1") < heard.index("READY=1")
    assert any(line.startswith("MONOTONIC_USEC=") for line in heard)
    make_photo(home.photos / "after.jpg", 9)
    until(lambda: "after.jpg" in home.scored(), "work after the reload")
    home.stop(daemon)
    assert manager.has("STOPPING=1")
