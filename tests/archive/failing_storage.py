"""Object storage on loopback, with the real S3 protocol, that fails as it is told to."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

Answer = tuple[str, list[tuple[str, str]], bytes]
_SLOW_DOWN = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>"
_DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>No.</Message></Error>"
_XML = [("Content-Type", "application/xml")]


class FailingStorage:
    """A server of S3, between whose requests faults happen. Thread-safe."""

    def __init__(self) -> None:
        self._inner = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._storm = 0
        self._denied: set[str] = set()
        self._cut: Counter[str] = Counter()
        self._after: dict[str, list[Callable[[], None]]] = {}
        self.requests: Counter[str] = Counter()
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def storm(self, requests: int) -> None:
        """Answer 503 to so many requests for objects."""
        with self._lock:
            self._storm = requests

    def deny(self, key: str) -> None:
        """Refuse an object from now on."""
        self._denied.add(key)

    def cut_off(self, key: str, times: int) -> None:
        """Break the connection in the middle of an object."""
        self._cut[key] = times

    def after_reading(self, key: str, action: Callable[[], None]) -> None:
        """Do something once, when an object was read next."""
        self._after.setdefault(key, []).append(action)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        key = environ["PATH_INFO"].lstrip("/").partition("/")[2]
        method = environ["REQUEST_METHOD"]
        self.requests[method] += 1
        if key and method in ("GET", "HEAD"):
            with self._lock:
                is_stormy = self._storm > 0
                self._storm -= is_stormy
            if is_stormy:
                start("503 Slow Down", _XML)
                return [] if method == "HEAD" else [_SLOW_DOWN]
            if key in self._denied:
                start("403 Forbidden", _XML)
                return [] if method == "HEAD" else [_DENIED]
        body = self._inner(environ, start)
        if key and method == "GET":
            if self._cut[key] > 0:
                self._cut[key] -= 1
                whole = b"".join(body)
                return [whole[: len(whole) // 2]]  # fewer bytes than the headers promise
            for action in self._after.pop(key, []):
                body = [b"".join(body)]
                action()
        return body
