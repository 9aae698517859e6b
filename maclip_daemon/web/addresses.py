"""The addresses under which a page of this machine may be asked for."""

from __future__ import annotations

import socket
from collections.abc import Iterable

LOOPBACK = "127.0.0.1"
EVERYWHERE = ("0.0.0.0", "::")


def host_headers(host: str, port: int, names: Iterable[str] = ()) -> frozenset[str]:
    """Return the values of the Host header that name a page which listens on `host` and `port`.

    `names`: further names of this machine that its owner uses.
    """
    known = {host, LOOPBACK, "localhost", "::1", *names}
    if host in EVERYWHERE:
        known |= _own_addresses()
    return frozenset(f"{bracketed(name.lower())}:{port}" for name in known)


def base_address(host: str, port: int) -> str:
    """Return the address at which a browser on this machine finds a page that listens there."""
    return f"http://{bracketed(LOOPBACK if host in EVERYWHERE else host)}:{port}"


def bracketed(host: str) -> str:
    """Return a host as addresses write it: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def _own_addresses() -> set[str]:
    import psutil

    found = {socket.gethostname().lower()}
    for addresses in psutil.net_if_addrs().values():
        found |= {each.address for each in addresses if each.family in (socket.AF_INET, socket.AF_INET6)}
    return found
