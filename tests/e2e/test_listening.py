"""A running daemon is watched: `/health`, `/metrics`, the status page and its key."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from tests.homes import Home, make_photos, until

ADDRESS = {"MACLIP_LISTEN__ADDRESS": "0"}  # any free port of this machine alone


def ask(port: int, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path, headers={"Host": f"localhost:{port}", **headers})
        answer = connection.getresponse()
        return (
            answer.status,
            {name.lower(): value for name, value in answer.getheaders()},
            answer.read().decode(),
        )
    finally:
        connection.close()


def samples(port: int) -> dict[str, float]:
    text = ask(port, "/metrics")[2]
    families = text_string_to_metric_families(text)
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in families
        for sample in family.samples
    }


def test_a_daemon_is_watched_and_only_its_owner_sees_the_page(home: Home) -> None:
    make_photos(home.photos, 6)
    daemon = home.daemon(**ADDRESS)
    key = home.data / "status-page"
    link = until(lambda: key.exists() and key.read_text(), "the link")
    assert key.stat().st_mode & 0o777 == 0o600
    parts = urlsplit(link)
    port = parts.port
    assert port is not None
    until(lambda: len(home.scored()) == 6 and home.is_at_rest(), "the photos")
    status, headers, body = ask(port, "/health")
    assert (status, json.loads(body)["status"]) == (200, "ok")
    assert "default-src 'none'" in headers["content-security-policy"]
    found = samples(port)
    assert found["maclip_photos['scored']"] == 6
    assert found["maclip_photos_processed_total['scored']"] == 6
    assert found["maclip_stage_seconds_count['decode']"] == 6
    assert found["maclip_stage_seconds_count['rate']"] >= 6
    assert found["maclip_memory_bytes['daemon']"] > 1e6

    # By another name (DNS rebinding), or without the key.
    assert ask(port, "/metrics", Host=f"evil.example:{port}")[0] == 421
    assert ask(port, "/metrics", **{"Sec-Fetch-Site": "cross-site"})[0] == 403
    status, _, body = ask(port, "/")
    assert (status, "maclip status" in body) == (401, True)
    assert ask(port, "/api/status")[0] == 401
    assert ask(port, "/open?token=wrong")[0] == 401
    cookie = ask(port, f"{parts.path}?{parts.query}")[1]["set-cookie"].partition(";")[0]
    status, _, page = ask(port, "/", Cookie=cookie)
    assert status == 200
    assert "Waiting for photos" in page
    assert str(home.photos) in page
    assert ask(port, "/static/status.js", Cookie=cookie)[0] == 200
    assert json.loads(ask(port, "/api/status", Cookie=cookie)[2])["figures"]["Photos scored"] == "6"

    assert f"page       {link}" in home.maclip("status").stdout
    home.maclip("pause")
    until(lambda: json.loads(ask(port, "/health")[2])["status"] == "paused", "the pause")
    other = ["--data-dir", home.folder / "other", "run", home.photos, "--listen", str(port)]
    taken = home.maclip(*other, expect=3)
    assert f"cannot listen at {port}" in taken.stderr
    output = home.stop(daemon)
    assert "token=" not in output
    assert not key.exists()
