"""A real HTTP server on this machine that records what it is sent."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Recorder:
    """What a server was sent; `status` is what it answers, and `is_hanging` lets it never do so."""

    port: int = 0
    status: int = 200
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Path and body of each request."""
    hanging: threading.Event = field(default_factory=threading.Event)

    def bodies(self, path: str) -> list[str]:
        return [body for each, body in list(self.requests) if each.partition("?")[0] == path]


@contextlib.contextmanager
def recording(*, hang: bool = False) -> Iterator[Recorder]:
    """Serve on a free port; `hang`: answer nothing before the end."""
    recorder = Recorder()
    if not hang:
        recorder.hanging.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            recorder.requests.append((self.path, body.decode()))
            recorder.hanging.wait()
            with contextlib.suppress(OSError):
                self.send_response(recorder.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    recorder.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield recorder
    finally:
        recorder.hanging.set()
        server.shutdown()
        server.server_close()
        thread.join()
