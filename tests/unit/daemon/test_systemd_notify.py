"""The sd_notify protocol, against real sockets."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from maclip_daemon.daemon import systemd_notify


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        yield listening


@pytest.fixture
def environment(manager: socket.socket) -> dict[str, str]:
    return {"NOTIFY_SOCKET": manager.getsockname()}


def test_ready_carries_its_status_in_the_same_message(
    manager: socket.socket, environment: dict[str, str]
) -> None:
    assert systemd_notify.ready("Watching 3 folders", environment=environment)
    assert manager.recv(4096) == b"READY=1\nSTATUS=Watching 3 folders"


def test_each_message_is_one_datagram_of_the_protocol(
    manager: socket.socket, environment: dict[str, str]
) -> None:
    systemd_notify.ready(environment=environment)
    systemd_notify.watchdog(environment=environment)
    systemd_notify.stopping("Finishing 2 photos", environment=environment)
    assert [manager.recv(4096) for _ in range(3)] == [
        b"READY=1",
        b"WATCHDOG=1",
        b"STOPPING=1\nSTATUS=Finishing 2 photos",
    ]


def test_a_reload_is_reported_with_its_time_on_the_managers_clock(
    manager: socket.socket, environment: dict[str, str]
) -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    systemd_notify.reloading(environment=environment)
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    first, second = manager.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    name, _, value = second.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(value) <= after


def test_a_status_with_line_breaks_cannot_smuggle_in_another_assignment(
    manager: socket.socket, environment: dict[str, str]
) -> None:
    systemd_notify.status("photo a\nSTOPPING=1\r\nb \udcff.jpg", environment=environment)
    assert manager.recv(4096) == b"STATUS=photo a STOPPING=1 b ?.jpg"


def test_an_abstract_socket_is_reached_through_its_at_sign() -> None:
    name = f"maclip-test-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name)
        listening.settimeout(5)
        assert systemd_notify.watchdog(environment={"NOTIFY_SOCKET": "@" + name})
        assert listening.recv(4096) == b"WATCHDOG=1"


@pytest.mark.parametrize("address", [None, "", "vsock:2:1234", "relative/path"])
def test_without_a_usable_socket_nothing_happens(address: str | None) -> None:
    assert not systemd_notify.ready(environment={} if address is None else {"NOTIFY_SOCKET": address})


def test_a_manager_that_is_gone_is_no_error(manager: socket.socket, environment: dict[str, str]) -> None:
    manager.close()
    assert not systemd_notify.watchdog(environment=environment)
    assert not systemd_notify.watchdog(environment={"NOTIFY_SOCKET": "/" + "x" * 200})


def test_a_manager_that_never_reads_cannot_hold_up_the_work(
    manager: socket.socket, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd_notify, "_SEND_TIMEOUT_S", 0.01)
    sent = 0
    while systemd_notify.watchdog(environment=environment):
        sent += 1
        assert sent < 10_000
    assert sent > 0


def test_keep_alives_come_twice_as_often_as_the_manager_demands() -> None:
    assert systemd_notify.watchdog_interval_s(environment={"WATCHDOG_USEC": "120000000"}) == 60.0
    assert (
        systemd_notify.watchdog_interval_s(
            environment={"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}, pid=7
        )
        == 1.5
    )


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": ""}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "-5"}, {"WATCHDOG_USEC": "soon"}],
)
def test_no_watchdog_is_kept_unless_one_was_asked_for(environment: dict[str, str]) -> None:
    assert systemd_notify.watchdog_interval_s(environment=environment) is None


def test_a_watchdog_asked_of_the_parent_is_not_this_processs_business() -> None:
    asked_of_another = {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}
    assert systemd_notify.watchdog_interval_s(environment=asked_of_another, pid=8) is None
    assert systemd_notify.watchdog_interval_s(environment=asked_of_another | {"WATCHDOG_PID": "1"}) is None
