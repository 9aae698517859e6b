"""The quiet period between the first event about a file and work on it.

A file is whole (the rule of paperless-ngx) when no event came for `settle_s`, when two checks at least
`settle_s` apart found the same size and times, and when it is still a regular file. Storms collapse to their
folder (as in Syncthing): the folder is scanned once, and no file of thousands is followed.
"""

from __future__ import annotations

import enum
import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from maclip_daemon.files.paths import is_below
from maclip_daemon.folders.scanner import FoundFile

MAX_FILES_PER_FOLDER = 500  # more pending files than that in one folder: scan the folder instead
MAX_FILES = 20_000  # about 8 MB of pending files; above: scan everything
MAX_FOLDERS = 2_000  # pending folders; above: scan everything
LONGEST_STORM = 15  # quiet periods after which a folder is scanned although events still come

_EVERYTHING = ""  # stands for the whole root among the pending folders

FindFile = Callable[[str], FoundFile | None]


class FileState(enum.Enum):
    """The state of a scanned file."""

    WHOLE = "whole"
    SETTLING = "settling"
    EMPTY = "empty"


def classify(file: FoundFile, wall_ns: int, settle_s: float) -> FileState:
    """Return the state of a file that a scan found, from its times alone.

    `wall_ns`: `time.time_ns()`. Whole: not written within `settle_s` before or after that moment; times
    further ahead come from a clock that was set back, not from a running copy. Settling: pass its path to
    `Debouncer.touch`. Empty: nothing to score; the next scan checks again. On a network file system use a
    `settle_s` of at least a minute, for the server's clock differs.
    """
    window_ns = settle_s * 1e9
    if abs(wall_ns - file.mtime_ns) < window_ns or abs(wall_ns - file.ctime_ns) < window_ns:
        return FileState.SETTLING
    return FileState.WHOLE if file.size else FileState.EMPTY


class Due(NamedTuple):
    """Files and folders that have settled."""

    files: list[FoundFile]
    """Whole files."""
    folders: list[str]
    """Folders to scan, with everything below them: too much happened in each to follow single files."""
    everything: bool
    """True when the whole root is to be scanned."""
    empty: tuple[str, ...] = ()
    """Files that settled with 0 bytes."""


class _FirstCheck(NamedTuple):
    file: FoundFile
    at: float


class _Storm(NamedTuple):
    began: float
    touched: float


class Debouncer:
    """Holds files and folders with events back until they have been quiet for `settle_s`.

    `now` is a monotonic clock in seconds; a step backwards only makes the wait longer by that call. Not
    thread-safe. A file that is gone or not regular at its second check is dropped, and an empty one is only
    named: when it changes, an event or the next scan finds it.
    """

    def __init__(
        self, settle_s: float, max_files_per_folder: int = MAX_FILES_PER_FOLDER, max_files: int = MAX_FILES
    ) -> None:
        self.settle_s = settle_s
        self._max_files_per_folder = max_files_per_folder
        self._max_files = max_files
        self._clock = 0.0  # advances only; the caller's clock may step back
        self._last_now: float | None = None
        self._touched: dict[str, None] = {}  # not checked since the last event
        self._checked: dict[str, _FirstCheck] = {}  # in the order of the checks
        self._in_folder: defaultdict[str, set[str]] = defaultdict(set)  # the pending files by their folder
        self._storms: dict[str, _Storm] = {}

    @property
    def pending(self) -> int:
        """Return how many files and folders are waiting."""
        return len(self._touched) + len(self._checked) + len(self._storms)

    def touch(self, path: str, now: float) -> None:
        """Restart the quiet period of a file, after an event about it."""
        folder = os.path.dirname(path)  # noqa: PTH120 - surrogates and speed
        for storm in (_EVERYTHING, folder):
            if storm in self._storms:
                self.touch_folder(storm, now)
                return
        self._advance(now)
        self._checked.pop(path, None)
        self._touched[path] = None
        self._in_folder[folder].add(path)
        if len(self._in_folder[folder]) > self._max_files_per_folder:
            self.touch_folder(folder, now)
        elif len(self._touched) + len(self._checked) > self._max_files:
            self.touch_everything(now)

    def touch_folder(self, folder: str, now: float) -> None:
        """Have a folder scanned once it is quiet."""
        now = self._advance(now)
        if folder != _EVERYTHING and _EVERYTHING in self._storms:
            folder = _EVERYTHING
        storm = self._storms.get(folder)
        self._storms[folder] = _Storm(storm.began if storm else now, now)
        if storm is None:
            for path in self._in_folder.pop(folder, ()):
                self._touched.pop(path, None)
                self._checked.pop(path, None)
            if len(self._storms) > MAX_FOLDERS:
                self._collapse_to_everything(now)

    def touch_everything(self, now: float) -> None:
        """Have the whole root scanned once it is quiet, after events were lost."""
        if _EVERYTHING in self._storms:
            self.touch_folder(_EVERYTHING, now)
        else:
            self._collapse_to_everything(self._advance(now))

    def forget(self, path: str) -> None:
        """Drop a file that is gone or was renamed."""
        self._touched.pop(path, None)
        self._checked.pop(path, None)
        folder = os.path.dirname(path)  # noqa: PTH120
        if folder in self._in_folder:
            self._in_folder[folder].discard(path)
            if not self._in_folder[folder]:
                del self._in_folder[folder]

    def forget_folder(self, folder: str) -> None:
        """Drop a folder that is gone or was renamed, with everything below it."""
        for other in [name for name in self._in_folder if is_below(name, folder)]:
            for path in list(self._in_folder[other]):
                self.forget(path)
        for other in [name for name in self._storms if name and is_below(name, folder)]:
            del self._storms[other]

    def due(self, now: float, find_file: FindFile) -> Due:
        """Return what has settled, each once. `find_file` is `scanner.found_file`."""
        now = self._advance(now)
        checked = (self._check_again(path, now, find_file) for path in self._ripe(now))
        settled = [file for file in checked if file is not None]
        for path in list(self._touched):
            del self._touched[path]
            file = find_file(path)
            if file is None:
                self.forget(path)
            else:
                self._checked[path] = _FirstCheck(file, now)
        quiet = [folder for folder, storm in self._storms.items() if self._storm_ends(storm) <= now]
        for folder in quiet:
            del self._storms[folder]
        return Due(
            [file for file in settled if file.size],
            _outermost(folder for folder in quiet if folder != _EVERYTHING),
            _EVERYTHING in quiet,
            tuple(file.path for file in settled if not file.size),
        )

    def wait_s(self, now: float) -> float | None:
        """Return the seconds until `due` may return something; None while nothing is pending."""
        now = self._advance(now)
        if self._touched:
            return 0.0
        ends = [self._storm_ends(storm) for storm in self._storms.values()]
        ends += [first.at + self.settle_s for first in list(self._checked.values())[:1]]
        return max(0.0, min(ends) - now) if ends else None

    def _advance(self, now: float) -> float:
        if self._last_now is not None:
            self._clock += max(0.0, now - self._last_now)
        self._last_now = now
        return self._clock

    def _ripe(self, now: float) -> list[str]:
        ripe = []
        for path, first in self._checked.items():
            if now - first.at < self.settle_s:
                break  # the rest was checked later
            ripe.append(path)
        return ripe

    def _check_again(self, path: str, now: float, find_file: FindFile) -> FoundFile | None:
        first = self._checked.pop(path)
        file = find_file(path)
        if file is not None and file != first.file:
            self._checked[path] = _FirstCheck(file, now)  # still growing, without events
            return None
        self.forget(path)
        return file

    def _storm_ends(self, storm: _Storm) -> float:
        return min(storm.touched + self.settle_s, storm.began + LONGEST_STORM * self.settle_s)

    def _collapse_to_everything(self, now: float) -> None:
        self._touched.clear()
        self._checked.clear()
        self._in_folder.clear()
        self._storms = {_EVERYTHING: _Storm(now, now)}


def _outermost(folders: Iterable[str]) -> list[str]:
    kept: list[str] = []
    for folder in sorted(folders, key=lambda folder: folder + "/"):  # what lies below a folder follows it
        if not kept or not is_below(folder, kept[-1]):
            kept.append(folder)
    return kept
