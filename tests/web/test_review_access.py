"""Who may use the page: requests without the key, from other pages and by other names are refused."""

from __future__ import annotations

import http.client
import io
import re
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest.mock import MagicMock
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from playwright.sync_api import Browser
from starlette.routing import Match

from maclip_daemon.web import review_app
from tests.faults.photo_files import write_dng
from tests.web.conftest import NAMES
from tests.web.desk import TIMEOUT_S, Desk

RAW = "IMG_0004.dng"


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
    desk.fill([*NAMES[:3], RAW])
    preview = Image.new("RGB", (1620, 1080), (200, 30, 30))
    write_dng(desk.photos / RAW, 2400, 1600, preview=preview)
    yield desk, desk.serve()
    desk.close()


@pytest.fixture
def client(served: tuple[Desk, str]) -> Client:
    client = Client(served[1])
    client.sign_in()
    return client


ADDRESSES = [
    "/",
    "/api/start",
    "/api/summary",
    "/api/equipment",
    "/api/rejected",
    "/api/rejected/progress",
    "/api/burst/1",
    "/api/photos",
    "/api/changes",
    "/preview/1/grid",
    "/preview/1/window",
    "/preview/1/screen",
    "/preview/1/full",
    "/static/review.js",
]
CHANGES = [
    *("/api/place", "/api/decisions", "/api/undo/last", "/api/undo/all"),
    *("/api/rejected/move", "/api/rejected/back", "/api/rejected/stop"),
]


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
@pytest.mark.parametrize("path", CHANGES)
def test_a_change_from_another_page_is_refused(
    served: tuple[Desk, str], client: Client, origin: str | None, path: str
) -> None:
    body = b'{"decisions": [{"id": 1, "rating": 5}]}'
    assert client.ask(path, "POST", body, Origin=origin and origin.format(port=client.port))[0] == 403
    assert served[0].sql("select * from decisions") == []


@pytest.mark.parametrize("path", CHANGES)
def test_a_change_without_the_cookie_is_refused(served: tuple[Desk, str], client: Client, path: str) -> None:
    assert client.ask(path, "POST", b"{}", Cookie="")[0] == 401
    assert served[0].sql("select * from decisions") == []


def test_the_lists_above_have_every_address_of_the_page() -> None:
    application = review_app.application(MagicMock(), review_app.ReviewScope(), MagicMock())
    asked = [(path, "GET") for path in ADDRESSES] + [(path, "POST") for path in CHANGES]
    for route in application.routes:
        assert any(
            route.matches({"type": "http", "path": path, "method": method, "root_path": ""})[0] is Match.FULL
            for path, method in asked
        ), route


PARTS = st.sampled_from(
    ("api", "preview", "static", "1", "2", "grid", "-1", "0", str(1 << 70), "%00", "%ff", "..", "a" * 300)
)
ROUTES = (
    ("preview/{}/window", "preview/1/{}", "api/burst/{}", "api/undo/{}", "api/photos", "api/changes"),
    ("api/place", "api/decisions", "api/start", "api/summary", "api/equipment", "{}"),
    ("api/rejected", "api/rejected/{}", "api/rejected/move", "api/rejected/back"),
)
PATHS = st.lists(PARTS, max_size=4).map("/".join) | st.tuples(
    st.sampled_from(ROUTES).flatmap(st.sampled_from), PARTS
).map(lambda each: each[0].format(each[1]))
VALUES = PARTS | st.sampled_from(["worst", "bursts", "any", "1,2", "2026-05-01", "2026-99-99", "1e9", "%"])
PARAMETERS = st.sampled_from(
    ["offset", "count", "after", "order", "mine", "stars", "since", "until", "name", "kind", "v", "folder"]
)
BODIES = st.binary(max_size=40) | st.sampled_from(
    [b"{}", b'"at=3"', b'"/etc"', b"[]", b"null", b'{"decisions": [1]}']
)


@given(
    PATHS,
    st.dictionaries(PARAMETERS, VALUES, max_size=3),
    st.sampled_from(["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS"]),
    BODIES,
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_request_is_answered_and_none_changes_a_decision(
    served: tuple[Desk, str],
    client: Client,
    asked: str,
    params: dict[str, str],
    method: str,
    body: bytes,
) -> None:
    query = "&".join(f"{name}={value}" for name, value in params.items())
    path = f"/{asked}?{query}"
    status, _, said = client.ask(path, method, None if method in ("GET", "HEAD") else body)
    assert status in (200, 307, 400, 404, 405), path
    assert b"Traceback" not in said
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


@pytest.mark.parametrize(("kind", "width"), [("grid", 320), ("window", 1500)])
def test_a_raw_is_shown_from_its_embedded_preview(client: Client, kind: str, width: int) -> None:
    """Only the preview is red; the window's picture needs no more pixels than the preview has."""
    status, _, data = client.ask(f"/preview/4/{kind}")
    assert status == 200
    with Image.open(io.BytesIO(data)) as image:
        assert abs(image.width - width) <= 16  # no side is below 224
        colour = image.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert isinstance(colour, tuple)
    assert max(abs(found - wanted) for found, wanted in zip(colour, (200, 30, 30), strict=True)) < 12


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


@pytest.fixture
def background(filled: Desk) -> Desk:
    """A desk whose server is started as a shell starts what runs in the background: with Ctrl-C ignored."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        filled.serve()
    finally:
        signal.signal(signal.SIGINT, handler)
    return filled


@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.2, 0.25, 0.3, 0.4])
def test_ctrl_c_ends_it_while_it_is_still_being_loaded(background: Desk, after_s: float) -> None:
    time.sleep(after_s)
    background.servers[-1].send_signal(signal.SIGINT)
    assert background.servers[-1].wait(TIMEOUT_S) == 0


def test_a_browser_in_the_terminal_keeps_neither_the_page_nor_its_end_waiting(filled: Desk) -> None:
    browser = filled.home / "browser"
    browser.write_text("#!/bin/sh\nsleep 60\n")
    browser.chmod(0o755)
    client = Client(filled.serve("--browser", BROWSER=str(browser)))
    assert client.ask(client.path)[0] == 200
    filled.servers[-1].send_signal(signal.SIGTERM)
    assert filled.servers[-1].wait(TIMEOUT_S) == 0


def test_it_takes_notice_of_ctrl_c_from_its_link_on(background: Desk) -> None:
    import psutil

    server = background.servers[-1]
    status = Path(f"/proc/{server.pid}/status")
    looks = 0
    while psutil.Process(server.pid).cpu_times().user < 2.0 and looks < 20_000:  # it is loaded by then
        ignored = re.search(r"^SigIgn:\s*(\w+)", status.read_text(), re.MULTILINE)
        assert ignored
        assert not int(ignored[1], 16) & 1 << (signal.SIGINT - 1), f"ignored at look {looks}"
        looks += 1
    server.send_signal(signal.SIGINT)
    assert server.wait(TIMEOUT_S) == 0


def test_its_end_is_told_in_one_sentence_though_a_browser_reads_no_more(filled: Desk) -> None:
    client = Client(filled.serve())
    with socket.create_connection((client.host, client.port)) as connection:
        request = f"GET {client.path} HTTP/1.1\r\nHost: {client.host}:{client.port}\r\n\r\n"
        connection.sendall(400 * request.encode())
        connection.recv(1)
        time.sleep(2)  # what it answers fills the buffers
        filled.servers[-1].send_signal(signal.SIGINT)
        said = filled.rest_of_output()
    assert said.splitlines()[1:] == ["The review page has ended."]


def test_it_listens_on_this_machine_alone_and_ends_with_ctrl_c(filled: Desk) -> None:
    import psutil

    filled.serve()
    server = filled.servers[-1]
    addresses = {each.laddr.ip for each in psutil.Process(server.pid).net_connections() if each.laddr}
    assert addresses == {"127.0.0.1"}
    children = psutil.Process(server.pid).children(recursive=True)
    server.send_signal(signal.SIGINT)
    assert server.wait(TIMEOUT_S) == 0
    assert psutil.wait_procs(children, TIMEOUT_S)[1] == []
