"""Notify the service manager of the daemon's state: the sd_notify protocol of systemd.

Each message is one datagram of `NAME=value` lines to the socket named by `$NOTIFY_SOCKET` (sd_notify(3)).
Without that variable every function does nothing. A lost manager must not stop the daemon: the functions
return whether the message was sent, and raise nothing.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

_SEND_TIMEOUT_S = 1.0  # a manager that does not read its messages must not block the daemon


def ready(status: str = "", *, environment: Mapping[str, str] = os.environ) -> bool:
    """Report that start-up or a reload is finished; `systemctl status` shows `status`."""
    return send("READY=1", *_status_lines(status), environment=environment)


def status(text: str, *, environment: Mapping[str, str] = os.environ) -> bool:
    """Show one line of text in `systemctl status`."""
    return send(*_status_lines(text), environment=environment)


def stopping(text: str = "", *, environment: Mapping[str, str] = os.environ) -> bool:
    """Report that the daemon has begun to stop."""
    return send("STOPPING=1", *_status_lines(text), environment=environment)


def reloading(*, environment: Mapping[str, str] = os.environ) -> bool:
    """Report the start of a reload; `ready` must follow, even when the new configuration is wrong."""
    # The manager compares this with its own clock to tell this reload from an earlier one (sd_notify(3)).
    microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    return send("RELOADING=1", f"MONOTONIC_USEC={microseconds}", environment=environment)


def extend(seconds: float, *, environment: Mapping[str, str] = os.environ) -> bool:
    """Ask for this much more time to start, from now on."""
    return send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1_000_000)}", environment=environment)


def watchdog(*, environment: Mapping[str, str] = os.environ) -> bool:
    """Send a keep-alive. Call it only while the work moves, never from a timer of its own."""
    return send("WATCHDOG=1", environment=environment)


def watchdog_interval_s(
    *, environment: Mapping[str, str] = os.environ, pid: int | None = None
) -> float | None:
    """Return the seconds between keep-alives: half the manager's limit, as sd_watchdog_enabled(3) advises.

    None when no watchdog is set, or it is another process's than `pid` (default: this one).
    """
    limit_us = environment.get("WATCHDOG_USEC", "")
    asked_of = environment.get("WATCHDOG_PID", "")
    if not (limit_us.isascii() and limit_us.isdigit()) or int(limit_us) == 0:
        return None
    if asked_of and asked_of != str(os.getpid() if pid is None else pid):
        return None
    return int(limit_us) / 1_000_000 / 2


def send(*lines: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Send `NAME=value` lines as one message and return whether the manager's socket took it."""
    address = os.fsencode(environment.get("NOTIFY_SOCKET", ""))
    if address[:1] not in (b"/", b"@"):  # none, or a kind (vsock) that only virtual machines have
        return False
    if address.startswith(b"@"):  # a name in Linux's abstract namespace
        address = b"\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.settimeout(_SEND_TIMEOUT_S)
            channel.connect(address)
            channel.sendall("\n".join(lines).encode("utf-8", "replace"))
    except OSError:
        return False
    return True


def _status_lines(text: str) -> list[str]:
    return [f"STATUS={' '.join(text.split())}"] if text else []
