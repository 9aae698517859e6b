"""When is a file whole? The quiet period between the first event about a file and work on it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import NamedTuple

from maclip_daemon.folders.scanner import FoundFile


class Verdict(enum.Enum):
    """What one look at a scanned file says."""

    WHOLE = "whole"
    SETTLING = "settling"
    EMPTY = "empty"


class Due(NamedTuple):
    """What has settled."""

    files: list[FoundFile]
    """Whole files."""
    folders: list[str]
    """Folders to scan, with everything below them: too much happened in each to follow single files."""
    everything: bool
    """True when the whole root is to be scanned."""


def judge(file: FoundFile, wall_ns: int, settle_s: float) -> Verdict:
    """Judge a file that a scan found, from its times alone.

    `wall_ns`: `time.time_ns()`. Whole: written longer than `settle_s` ago. Settling: give its path to
    `Settler.touch`. Empty: nothing to score; the next scan looks again.
    """
    raise NotImplementedError


class Settler:
    """Files and folders about which events came, until they have been quiet for `settle_s`.

    `now` is a monotonic clock in seconds (a step backwards is survived). Not thread-safe.
    """

    def __init__(self, settle_s: float) -> None:
        raise NotImplementedError

    def touch(self, path: str, now: float) -> None:
        """An event came about a file; its quiet period begins again."""

    def touch_folder(self, folder: str, now: float) -> None:
        """A folder is to be scanned once it has been quiet."""

    def touch_everything(self, now: float) -> None:
        """Events were lost: the whole root is to be scanned once it has been quiet."""

    def forget(self, path: str) -> None:
        """The file is gone or was renamed."""

    def forget_folder(self, folder: str) -> None:
        """The folder and everything below it is gone or was renamed."""

    def due(self, now: float, look: Callable[[str], FoundFile | None]) -> Due:
        """Return, once, what has settled. `look` is `scanner.found_file`."""
        raise NotImplementedError

    def wait_s(self, now: float) -> float | None:
        """Seconds until `due` may have something to do; None while nothing is pending."""
        raise NotImplementedError
