"""A wall clock that a test can set while programs run: libfaketime, with the monotonic clock left alone.

A person, NTP or a suspended machine changes the time in the same way: only the wall clock jumps.

Under it every `time.sleep` of Python 3.11 fails (EINVAL: libfaketime 0.9.10 shifts the absolute moment of
clock_nanosleep although the monotonic clock is left alone), and so does waiting for a child
with a time-out. `misbehaving_device` replaces it with another way of waiting.
"""

from __future__ import annotations

from pathlib import Path

import pytest

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


class SetClock:
    """The wall clock of all processes started with `environment`."""

    def __init__(self, folder: Path) -> None:
        if not LIBRARIES:
            pytest.skip("libfaketime is not installed (Debian: faketime)")
        self._file = folder / "clock"
        self.ahead_s = 0
        self.set(0)
        self.environment = {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",  # its name before version 0.9.9
            "NO_FAKE_STAT": "1",  # the times of files are the kernel's
        }

    def jump(self, seconds: int) -> None:
        """Move the clock forwards, or back for a negative number."""
        self.set(self.ahead_s + seconds)

    def set(self, ahead_s: int) -> None:
        self.ahead_s = ahead_s
        beside = self._file.with_name("clock.new")
        beside.write_text(f"{ahead_s:+d}\n")
        beside.replace(self._file)
