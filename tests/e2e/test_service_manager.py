"""A real daemon's notifications over a real socket; `tests/systemd` has the service under a real systemd."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.stopped_threads import stopped_threads
from tests.faults.logged_daemon import running
from tests.homes import Home, make_photo, make_photos, until

# A stage that sends no heartbeat counts as stalled after a minute; here after a second.
SHORT_HEARTBEAT_TIMEOUT = """
import sys
if sys.orig_argv[-2:-1] == ["run"]:
    from maclip_daemon.pipeline.discovery import discovery_stage
    discovery_stage.HEARTBEAT_TIMEOUT_S = 1.0
"""


class Manager:
    """The manager's end of the socket; a thread reads it, because a socket buffers few messages."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.received: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while message := self._socket.recv(4096):
            self.received += message.decode().splitlines()

    def has(self, line: str) -> bool:
        return any(received.startswith(line) for received in list(self.received))

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", str(self.path))
        self._thread.join()
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify.sock")
    yield manager
    manager.close()


def test_ready_watchdog_reloading_and_stopping_are_sent_in_this_order(home: Home, manager: Manager) -> None:
    make_photos(home.photos, 2)
    daemon = home.daemon(NOTIFY_SOCKET=str(manager.path), WATCHDOG_USEC="2000000")
    until(lambda: manager.has("READY=1"), "READY")
    assert home.sql("select count(*) from roots") == [(1,)]
    until(lambda: manager.has("WATCHDOG=1"), "a heartbeat")
    manager.received.clear()
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    daemon.send_signal(signal.SIGHUP)
    until(lambda: manager.has("READY=1"), "READY after the reload")
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    received = list(manager.received)
    assert received.index("RELOADING=1") < received.index("READY=1")
    (moment,) = (int(line.partition("=")[2]) for line in received if line.startswith("MONOTONIC_USEC="))
    assert before <= moment <= after, "systemd compares it with its own clock"
    make_photo(home.photos / "after.jpg", 9)
    until(lambda: "after.jpg" in home.scored(), "work after the reload")
    home.stop(daemon)
    until(lambda: manager.has("STOPPING=1"), "STOPPING")


def test_no_heartbeat_is_sent_while_the_work_is_stalled(
    home: Home, manager: Manager, request: pytest.FixtureRequest
) -> None:
    make_photos(home.photos, 2)
    if not request.config.getoption("--full"):
        (home.folder / "sitecustomize.py").write_text(SHORT_HEARTBEAT_TIMEOUT)
    paths = [str(home.folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {"NOTIFY_SOCKET": str(manager.path), "PYTHONPATH": os.pathsep.join(paths)}
    with running(home, WATCHDOG_USEC="1000000", **environment) as daemon:
        until(lambda: len(home.scored()) == 2 and manager.has("WATCHDOG=1"), "a heartbeat")

        def missed_heartbeats() -> int:
            return daemon.log_text().count("no heartbeat")

        for _ in range(20):
            with stopped_threads(daemon.process.pid) as threads:
                assert threads > 3
                manager.received.clear()
                before = missed_heartbeats()

                def reports(before: int = before) -> bool:
                    return manager.received.count("WATCHDOG=1") > 1 or missed_heartbeats() > before

                if not becomes_true(reports):
                    continue  # a stopped thread held the interpreter's lock, which stops the main thread too
                until(
                    lambda before=before: missed_heartbeats() > before + 1,
                    "a missed heartbeat",
                )
                manager.received.clear()
                before = missed_heartbeats()
                until(lambda before=before: missed_heartbeats() > before + 3, "further missed heartbeats")
                assert not manager.has("WATCHDOG=1")
                break
        else:
            pytest.fail("the threads could not be stopped without the main one")
        until(lambda: manager.has("WATCHDOG=1"), "a heartbeat")
        make_photo(home.photos / "after.jpg", 9)
        until(lambda: "after.jpg" in home.scored(), "work afterwards")


def becomes_true(condition: Callable[[], object], timeout_s: float = 20.0) -> bool:
    """Return whether a condition becomes true before the time-out."""
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(condition())
