"""A real daemon tells a real server what it did: one notification an import, and no secret in its log."""

from __future__ import annotations

import json

import pytest

from tests.homes import Home, make_photos, until
from tests.http_recorder import recording

SECRET = "topsecret"


def notify_settings(port: int) -> dict[str, str]:
    return {
        "MACLIP_NOTIFY__URLS": json.dumps([f"json://user:{SECRET}@127.0.0.1:{port}/hook"]),
        "MACLIP_NOTIFY__HEALTH_URL": f"http://127.0.0.1:{port}/{SECRET}",
        "MACLIP_NOTIFY__QUIET_S": "3",
        "MACLIP_NOTIFY__MINIMUM_PHOTOS": "6",
    }


def test_an_import_is_told_once_and_a_server_that_is_gone_is_a_warning(home: Home) -> None:
    pytest.importorskip("apprise", reason="the extra notify is not installed")
    make_photos(home.photos, 8)
    (home.photos / "broken.jpg").write_bytes(b"no photo at all")
    with recording() as server:
        daemon = home.daemon(**notify_settings(server.port))
        (told,) = until(lambda: server.bodies("/hook"), "the notification")
        assert json.loads(told)["title"] == "maclip: import finished"
        assert json.loads(told)["message"].startswith("8 photos rated, ")
        assert ", 1 failed. " in json.loads(told)["message"]
        until(lambda: server.bodies(f"/{SECRET}"), "the ping at the end")
        assert server.bodies(f"/{SECRET}/start")
        sent = home.maclip("notify", **notify_settings(server.port))
        assert "JSON (number 1 of notify.urls): sent" in sent.stdout
        assert len(server.bodies("/hook")) == 2, "one an import, and the test"
    # The server is gone; work goes on.
    make_photos(home.photos, 6, first=50)
    until(lambda: len(home.scored()) == 14, "more photos")
    refused = home.maclip("notify", expect=3, **notify_settings(server.port))
    assert "JSON (number 1 of notify.urls): not sent" in refused.stdout
    shown = home.maclip("config", "show", **notify_settings(server.port)).stdout
    until(lambda: not home.sql("select 1 from notes where key = 'import'"), "the end of the import")
    output = home.stop(daemon)
    assert "the health checker got no ping" in output
    for text in (output, refused.stdout, refused.stderr, shown):
        assert SECRET not in text
