"""Who may use the page: requests without the key, from other pages and by other names are refused."""

from __future__ import annotations

import http.client
import re
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from tests.web.conftest import NAMES
from tests.web.desk import Desk


class Client:
    """Requests of any kind to a page, with the headers of a browser on it unless a test says otherwise."""

    def __init__(self, link: str) -> None:
        parts = urlsplit(link)
        assert parts.port is not None
        self.host, self.port = "127.0.0.1", parts.port
        self.path = f"{parts.path}?{parts.query}"
        self.cookie = ""

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, **headers: str | None
    ) -> tuple[int, dict[str, str], bytes]:
        sent: dict[str, str | None] = {
            "Host": f"{self.host}:{self.port}",
            "Origin": f"http://{self.host}:{self.port}",
            "Cookie": self.cookie,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True)
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def sign_in(self) -> None:
        _, headers, _ = self.ask(self.path)
        self.cookie = headers["set-cookie"].partition(";")[0]


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, samples: Sequence[Path], browser: Browser
) -> Iterator[tuple[Desk, str]]:
    """One server for all requests of this file."""
    desk = Desk(tmp_path_factory.mktemp("access"), samples, browser)
    desk.fill(NAMES[:3])
    yield desk, desk.serve()
    desk.close()


@pytest.fixture
def client(served: tuple[Desk, str]) -> Client:
    client = Client(served[1])
    client.sign_in()
    return client


ADDRESSES = ["/", "/api/photos", "/api/changes", "/preview/1/grid", "/static/review.js"]


@pytest.mark.parametrize("path", ADDRESSES)
def test_with_the_cookie_the_page_answers(client: Client, path: str) -> None:
    assert client.ask(path)[0] == 200


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize("cookie", ["", "maclip_review_1=x", "{name}=wrong", "{name}=", "\x7f="])
def test_without_the_cookie_nothing_is_told(client: Client, path: str, cookie: str) -> None:
    name = client.cookie.partition("=")[0]
    status, _, body = client.ask(path, Cookie=cookie.format(name=name))
    assert status == 401
    assert b"maclip review` printed" in body


def test_the_cookie_is_for_this_site_alone_and_hidden_from_scripts(served: tuple[Desk, str]) -> None:
    client = Client(served[1])
    _, headers, body = client.ask(client.path)
    assert re.search(r"HttpOnly.*SameSite=strict", headers["set-cookie"], re.IGNORECASE)
    assert b"token" not in body


@pytest.mark.parametrize("query", ["", "?token=", "?token=wrong", "?token=%00", "?token=%ff"])
def test_a_wrong_token_opens_nothing(client: Client, query: str) -> None:
    status, headers, _ = client.ask(f"/open{query}", Cookie="")
    assert status == 401
    assert "set-cookie" not in headers


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "", None])
@pytest.mark.parametrize("path", ["/", "/open", "/api/photos"])
def test_another_host_name_is_refused(client: Client, host: str | None, path: str) -> None:
    assert client.ask(path, Host=host and host.format(port=client.port))[0] in (400, 421)


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "https://127.0.0.1:{port}", ""])
@pytest.mark.parametrize("path", ["/api/decisions", "/api/undo/last"])
def test_a_change_from_another_page_is_refused(
    served: tuple[Desk, str], client: Client, origin: str | None, path: str
) -> None:
    body = b'{"decisions": [{"id": 1, "rating": 5}]}'
    assert client.ask(path, "POST", body, Origin=origin and origin.format(port=client.port))[0] == 403
    assert served[0].sql("select * from decisions") == []


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_request_that_another_page_made_is_refused(client: Client, site: str) -> None:
    assert client.ask("/preview/1/grid", Sec_Fetch_Site=site)[0] == 403


@pytest.mark.parametrize("path", [*ADDRESSES, "/nowhere", "/open"])
def test_every_answer_forbids_what_is_not_the_pages_own(client: Client, path: str) -> None:
    _, headers, _ = client.ask(path)
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/preview/999999/grid", 404),
        ("/preview/1/../../etc/passwd", 404),
        ("/preview/1/huge", 400),
        ("/preview/%2e%2e/grid", 404),
        ("/static/../access.py", 404),
        ("/static/%2e%2e/access.py", 404),
        ("/api/photos?order=none", 400),
        ("/api/photos?stars=9", 400),
        ("/api/photos?since=yesterday", 400),
        ("/api/photos?count=201", 400),
        ("/api/photos?offset=-1", 400),
        ("/api/changes?after=x", 400),
        ("/api/decisions", 405),
    ],
)
def test_what_is_not_there_is_said_plainly(client: Client, path: str, status: int) -> None:
    found, _, body = client.ask(path)
    assert found == status
    assert b"Traceback" not in body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"[]",
        b"{}",
        b'{"decisions": []}',
        b'{"decisions": [{"id": 1}]}',
        b'{"decisions": [{"id": 1, "rating": 6}]}',
        b'{"decisions": [{"id": 1, "rating": true}]}',
        b'{"decisions": [{"id": 1.0, "rating": 1}]}',
        b'{"decisions": [{"id": "1", "rating": 1}]}',
        b'{"decisions": [{"id": 1, "rating": 1}, {"id": 1, "rating": 2}]}',
        b'{"decisions": [{"id": 1, "rating": 1, "path": "/etc/passwd"}]}',
        b"[" * 50_000,
        b'{"decisions": "' + b"x" * 70_000 + b'"}',
    ],
)
def test_a_wrong_decision_is_refused_and_changes_nothing(
    served: tuple[Desk, str], client: Client, body: bytes
) -> None:
    assert client.ask("/api/decisions", "POST", body)[0] == 400
    assert served[0].sql("select * from decisions") == []


def test_an_unknown_photo_cannot_be_decided(served: tuple[Desk, str], client: Client) -> None:
    status, _, body = client.ask("/api/decisions", "POST", b'{"decisions": [{"id": 77, "rating": 1}]}')
    assert (status, b"does not know" in body) == (404, True)


def test_a_second_page_for_the_same_library_is_refused(served: tuple[Desk, str]) -> None:
    with pytest.raises(AssertionError, match="A review page is open already"):
        served[0].serve()


def test_the_browser_gets_a_link_for_one_use(filled: Desk, tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    fake = tmp_path / "browser"
    fake.write_text(f'#!/bin/sh\necho "$1" > {opened}.part\nmv {opened}.part {opened}\n')
    fake.chmod(0o755)
    printed = filled.serve("--browser", BROWSER=str(fake))
    from tests.web.desk import until

    until(opened.exists, "the browser to be started")
    link = opened.read_text().strip()
    assert link != printed
    client = Client(link)
    assert client.ask(client.path)[0] == 200
    assert client.ask(client.path)[0] == 401
    printed_client = Client(printed)
    assert [printed_client.ask(printed_client.path)[0] for _ in range(2)] == [200, 200]


def test_it_listens_on_this_machine_alone_and_ends_with_ctrl_c(filled: Desk) -> None:
    import psutil

    filled.serve()
    server = filled.servers[-1]
    addresses = {each.laddr.ip for each in psutil.Process(server.pid).net_connections() if each.laddr}
    assert addresses == {"127.0.0.1"}
    children = psutil.Process(server.pid).children(recursive=True)
    server.send_signal(signal.SIGINT)
    assert server.wait(20) == 0
    assert psutil.wait_procs(children, 10)[1] == []
