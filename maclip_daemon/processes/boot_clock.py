"""A clock that nobody sets and that goes on while the machine sleeps."""

from __future__ import annotations

import sys
import time


def since_boot_s() -> float:
    """Return seconds since the machine was booted, those it slept included where the system tells them."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    if sys.platform == "darwin":
        return time.clock_gettime(time.CLOCK_MONOTONIC_RAW)  # Python's own stands still in sleep
    return time.monotonic()
