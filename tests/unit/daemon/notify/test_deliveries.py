"""Apprise and the health checker against a real HTTP server; an outbox delays nobody."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import threading

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from maclip_daemon.daemon.notify import health_checker
from maclip_daemon.daemon.notify.apprise_services import INSTALL, AppriseServices, Notice
from maclip_daemon.daemon.notify.health_checker import Ping
from maclip_daemon.daemon.notify.outbox import MOST_WAITING, Outbox
from maclip_daemon.errors import EnvironmentUnfit
from tests.http_recorder import recording

# One of Apprise's services uses a module that Python 3.13 has no more.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
NOTICE = Notice("maclip: import finished", "1 204 photos rated, 2 failed.")
SECRET = "topsecret"


def test_a_notification_reaches_a_webhook() -> None:
    pytest.importorskip("apprise", reason="the extra notify is not installed")
    with recording() as server:
        services = AppriseServices([SecretStr(f"json://user:{SECRET}@127.0.0.1:{server.port}/hook")])
        assert services.send(NOTICE) == []
        assert services.send(Notice("maclip: a disk is full", "No space.", is_trouble=True)) == []
        first, second = map(json.loads, server.bodies("/hook"))
    assert (first["title"], first["message"], first["type"]) == (NOTICE.title, NOTICE.body, "success")
    assert second["type"] == "warning"


def test_services_that_fail_are_named_without_their_secrets(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("apprise", reason="the extra notify is not installed")
    with recording() as server:
        server.status = 500
        urls = [
            f"json://user:{SECRET}@127.0.0.1:{server.port}",
            f"nonsense://{SECRET}",
            f"json://{SECRET}:1/",
        ]
        services = AppriseServices([SecretStr(url) for url in urls])
        failed = services.send(NOTICE)
    assert failed == [
        "JSON (number 1 of notify.urls)",
        "an address that Apprise does not know (number 2 of notify.urls)",
        "JSON (number 3 of notify.urls)",
    ]
    assert failed == services.names()
    assert capfd.readouterr() == ("", ""), "Apprise prints nothing either"


def test_without_apprise_one_is_told_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentUnfit, match="maclip-daemon") as caught:
        AppriseServices([SecretStr("json://localhost")]).send(NOTICE)
    assert str(caught.value) == f"{INSTALL}."


def test_pings_go_where_healthchecks_expects_them() -> None:
    with recording() as server:
        url = SecretStr(f"http://127.0.0.1:{server.port}/ping/{SECRET}?rid=1")
        pings = [Ping("start"), Ping("success", "12 photos rated"), Ping("fail", "The disk is full.")]
        assert [health_checker.send(url, ping) for ping in pings] == ["", "", ""]
        assert server.requests == [
            (f"/ping/{SECRET}/start?rid=1", ""),
            (f"/ping/{SECRET}?rid=1", "12 photos rated"),
            (f"/ping/{SECRET}/fail?rid=1", "The disk is full."),
        ]


def test_a_failed_ping_tells_why_and_no_secret() -> None:
    with recording() as server:
        server.status = 404
        answered = health_checker.send(SecretStr(f"http://127.0.0.1:{server.port}/{SECRET}"), Ping("start"))
    refused = health_checker.send(SecretStr(f"http://127.0.0.1:{server.port}/{SECRET}"), Ping("start"))
    nonsense = health_checker.send(SecretStr(f"http://127.0.0.1:port/{SECRET}"), Ping("start"))
    unreachable = "its server cannot be reached"
    assert (answered, refused, nonsense) == ("its server answered 404", unreachable, unreachable)


def test_an_outbox_that_hangs_holds_nobody_up_and_drops_what_is_too_much() -> None:
    hangs, begins = threading.Event(), threading.Event()
    delivered: list[int] = []

    def deliver(message: int) -> None:
        begins.set()
        hangs.wait()
        delivered.append(message)

    outbox = Outbox[int]("test", deliver)
    with capture_logs() as logged, contextlib.ExitStack() as at_the_end:
        at_the_end.callback(hangs.set)
        for message in range(MOST_WAITING + 10):
            outbox.put(message)
            assert begins.wait(60), "the first one leaves its place in the queue"
        outbox.close(0.0)
    assert [each["event"] for each in logged] == [
        "messages are dropped: the earlier ones are not delivered yet"
    ], "told once"
    outbox.close(60.0)
    assert delivered[:MOST_WAITING] == list(range(MOST_WAITING))


def test_an_outbox_delivers_what_waits_before_it_closes() -> None:
    delivered: list[int] = []
    outbox = Outbox[int]("test", delivered.append)
    outbox.close(60.0)
    for message in range(3):
        outbox.put(message)
    outbox.close(60.0)
    assert delivered == [0, 1, 2]
