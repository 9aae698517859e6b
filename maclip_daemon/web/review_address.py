"""The address and the keys of the review page, taken before its server is loaded: the browser starts then.

Whoever asks for the page earlier than it can answer waits in the socket's queue.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import filelock

from maclip_daemon.errors import AlreadyRunning, EnvironmentUnfit
from maclip_daemon.settings import Settings
from maclip_daemon.web.access import OPEN_PATH, Keys, secret
from maclip_daemon.web.addresses import base_address, host_headers


@dataclass(frozen=True)
class ReviewAddress:
    """Where a page listens, and what opens it."""

    listener: socket.socket
    keys: Keys

    @property
    def hosts(self) -> frozenset[str]:
        """Return the values of the Host header that name the page."""
        host, port = self.listener.getsockname()[:2]
        return host_headers(host, port)

    @property
    def printed_link(self) -> str:
        """Return the link for the terminal; it opens the page as often as it is used."""
        return self._link(self.keys.token)

    def link_for_one_use(self) -> str:
        """Return a link for the browser that is started."""
        return self._link(self.keys.for_one_use())

    def _link(self, token: str) -> str:
        host, port = self.listener.getsockname()[:2]
        return f"{base_address(host, port)}{OPEN_PATH}?token={token}"


@contextlib.contextmanager
def taken(settings: Settings, host: str, port: int | None) -> Iterator[ReviewAddress]:
    """Yield an address that listens, while no other review page of this library is open.

    `port`: None is the setting's, or a free one when that is taken.
    Raises `AlreadyRunning`, `EnvironmentUnfit`.
    """
    with _only_one(settings.data_dir), _listening(settings, host, port) as listener:
        yield ReviewAddress(listener, Keys(secret(settings.data_dir), listener.getsockname()[1]))


@contextlib.contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    """Let one review page at a time write decisions into a library."""
    only = filelock.FileLock(data_dir / "review.lock")
    try:
        only.acquire(timeout=1)
    except filelock.Timeout:
        raise AlreadyRunning(
            "A review page is open already. Go on in its window, or end it with Ctrl-C in its terminal."
        ) from None
    except OSError as error:
        raise EnvironmentUnfit(f"The data folder {data_dir} cannot be used: {error.strerror}.") from None
    try:
        yield
    finally:
        only.release()


@contextlib.contextmanager
def _listening(settings: Settings, host: str, wanted: int | None) -> Iterator[socket.socket]:
    """Yield a socket that listens; on a free port where only the setting named one that is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    with contextlib.closing(listener):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port = settings.review.port if wanted is None else wanted
        try:
            listener.bind((host, port))
        except OSError as error:
            if wanted is not None or port == 0:
                raise EnvironmentUnfit(
                    f"The page cannot use {host}, port {port}: {error.strerror}. Choose another --port."
                ) from None
            listener.bind((host, 0))
        listener.listen(128)
        yield listener
