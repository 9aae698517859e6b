"""Who may use the page: a link with a token, then a cookie; the right Host and Origin; nothing else.

Other pages in the same browser, other users of the machine and names that are pointed at this machine (DNS
rebinding) are refused. The answers forbid everything that is not the page's own.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN_PATH = "/open"
_SECRET_BYTES = 32
_REFUSED = 401
_OPENING = "maclip.opening"  # in the scope of a request that the link with the token made
_SAFE_METHODS = frozenset({"GET", "HEAD"})
_OWN_SITES = frozenset({"same-origin", "none"})
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
NO_ACCESS = "Open the link that `maclip review` printed in its terminal: it is the key to this page."
# A redirect would lose the cookie where the link was opened from another site; this is a step of our own.
_OPENED = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=/">'
    '<title>maclip</title><p><a href="/">Open the page</a></p>'
)


def secret(data_dir: Path) -> str:
    """Return the cookie's value, the same in each run: a page that is still open goes on after a restart."""
    path = data_dir / "review-secret"
    with contextlib.suppress(OSError):
        known = path.read_text("ascii").strip()
        if len(known) >= _SECRET_BYTES:
            return known
    made = secrets.token_urlsafe(_SECRET_BYTES)
    with contextlib.suppress(OSError):  # then it lives as long as this run
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(made)
    return made


def is_opening(scope: Scope) -> bool:
    """Return whether the page is asked for by its link, and not again at its own address."""
    return bool(scope.get(_OPENING))


class Keys:
    """The secrets of a running page: the cookie, the token of the printed link, tokens for one use."""

    def __init__(self, cookie: str, port: int) -> None:
        self.cookie = cookie
        self.cookie_name = f"maclip_review_{port}"  # cookies do not know ports
        self.token = secrets.token_urlsafe(24)
        self._once: set[str] = set()

    def for_one_use(self) -> str:
        """Return a token for the browser that is started: its command line can be read by other users."""
        token = secrets.token_urlsafe(24)
        self._once.add(token)
        return token

    def opens(self, token: str) -> bool:
        """Return whether a token is right; one for a single use is spent by it."""
        found = next((known for known in self._once if _are_equal(known, token)), None)
        self._once.discard(found or "")
        return found is not None or _are_equal(self.token, token)

    def fits(self, cookies: str) -> bool:
        """Return whether a Cookie header holds the cookie."""
        try:
            morsel = SimpleCookie(cookies).get(self.cookie_name)
        except CookieError:
            return False
        return morsel is not None and _are_equal(self.cookie, morsel.value)


def _are_equal(secret: str, given: str) -> bool:
    return secrets.compare_digest(secret.encode(), given.encode("utf-8", "replace"))


class AccessGuard:
    """ASGI middleware around the whole page."""

    def __init__(
        self,
        app: ASGIApp,
        keys: Keys,
        hosts: frozenset[str],
        *,
        open_paths: frozenset[str] = frozenset(),
        no_access: str = NO_ACCESS,
        is_shown_at_once: bool = False,
    ) -> None:
        """`hosts`: the values of the Host header that are this page, such as `127.0.0.1:8737`.

        `open_paths`: addresses that need no key. `no_access`: where one finds the key to the others.
        `is_shown_at_once`: the link is answered with the page, whose script takes the token out of the
        address; else with a step to the page.
        """
        self._is_shown_at_once = is_shown_at_once
        self._open_paths = open_paths
        self._no_access = no_access
        self._app = app
        self._keys = keys
        self._hosts = hosts
        self._origins = frozenset(f"http://{host}" for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on what may pass."""
        if scope["type"] != "http":
            return

        answer = self._refusal(scope)
        is_opening = answer is None and scope["path"] == OPEN_PATH
        if is_opening:
            answer = self._opening(scope)
            scope = {**scope, "path": "/", "raw_path": b"/", "query_string": b"", _OPENING: True}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if is_opening and message["status"] < _REFUSED:
                    headers["Set-Cookie"] = self._cookie()
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await (answer or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if headers.get("host", "").lower() not in self._hosts or len(headers.getlist("host")) != 1:
            return PlainTextResponse("This is not an address of this page.", 421)
        if scope["path"] == OPEN_PATH:
            return None
        if headers.get("sec-fetch-site", "none") not in _OWN_SITES:
            return PlainTextResponse("Other pages may not use this one.", 403)
        if scope["method"] not in _SAFE_METHODS and headers.get("origin") not in self._origins:
            return PlainTextResponse("Other pages may not use this one.", 403)
        is_open = scope["path"] in self._open_paths and scope["method"] in _SAFE_METHODS
        if not is_open and not self._keys.fits(headers.get("cookie", "")):
            return PlainTextResponse(self._no_access, _REFUSED)
        return None

    def _opening(self, scope: Scope) -> Response | None:
        """Return the answer to the link with a token; None where the page itself is the answer."""
        token = QueryParams(scope["query_string"]).get("token", "")
        if scope["method"] not in _SAFE_METHODS or not self._keys.opens(token):
            return PlainTextResponse(self._no_access, _REFUSED)
        return None if self._is_shown_at_once else HTMLResponse(_OPENED)

    def _cookie(self) -> str:
        answer = Response()
        answer.set_cookie(self._keys.cookie_name, self._keys.cookie, httponly=True, samesite="strict")
        return answer.headers["set-cookie"]
