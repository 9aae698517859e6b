"""A watcher with real folders and the real kernel, and the events that it reported."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from maclip_daemon.folders import watcher as watcher_module
from maclip_daemon.folders.events import EventKind, FolderEvent
from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.folders.root_health import Root
from maclip_daemon.folders.scanner import found_file, scan

DEADLINE_S = 60.0


def is_photo(name: str) -> bool:
    return name.lower().endswith(".jpg")


def until(condition: Callable[[], object], what: str = "") -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited too long for {what or condition}"
        time.sleep(0.005)


def put(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def kernel_watches() -> int:
    """Return the number of this process's inotify watches, as the kernel counts them."""
    count = 0
    for file in Path("/proc/self/fdinfo").iterdir():
        try:
            count += file.read_text().count("inotify wd:")
        except OSError:
            continue
    return count


class Listener:
    """A watcher, the events it reported, and the photos found through them."""

    def __init__(
        self,
        root: Path,
        exclusion: Exclusion | None = None,
        is_watched: Callable[[str], bool] = is_photo,
    ) -> None:
        self.root = root
        self.exclusion = exclusion or Exclusion()
        self.events: list[FolderEvent] = []
        self.gate = threading.Event()
        self.gate.set()
        self.watches_before = kernel_watches()
        self.watcher = watcher_module.watch(Root(str(root)), self.exclusion, is_watched, self.listen)

    def listen(self, event: FolderEvent) -> None:
        self.gate.wait(3 * DEADLINE_S)
        self.events.append(event)

    def close(self) -> None:
        self.gate.set()
        self.watcher.close()

    @property
    def watches(self) -> int:
        return kernel_watches() - self.watches_before

    def reported(self, kind: EventKind, path: Path, destination: Path | None = None) -> bool:
        wanted = FolderEvent(kind, str(path), str(destination) if destination else "")
        return wanted in self.events

    def found(self) -> set[str]:
        """Return all photos that a consumer of the events has found, as the daemon does."""
        found = set()
        for event in list(self.events):
            if event.kind is EventKind.FILE_CHANGED:
                found.add(event.path)
            elif event.kind in {EventKind.RESCAN, EventKind.FOLDER_MOVED, EventKind.OVERFLOW}:
                start = event.destination or event.path
                for listing in scan(str(self.root), self.exclusion, is_photo, start):
                    found |= {file.path for file in listing.files}
        return {path for path in found if found_file(path)}

    def flush(self) -> None:
        """Wait for the events of all changes so far."""
        marker = put(self.root / f"marker-{time.monotonic_ns()}.jpg")
        until(lambda: self.reported(EventKind.FILE_CHANGED, marker), "the marker")
        marker.unlink()

    def settle(self) -> None:
        """Wait until nothing comes any more of all changes so far: no rename waits for its second half."""
        self.flush()
        until(self._is_complete, "the second halves of renames")
        self.flush()

    def _is_complete(self) -> bool:
        with self.watcher._lock:  # what waited is passed on under it
            return not self.watcher._departures._waiting

    def watches_folder(self, folder: Path) -> bool:
        """Return whether a photo that is put into it has its event before a later one elsewhere has."""
        photo = put(folder / f"later-{time.monotonic_ns()}.jpg")
        self.flush()
        return self.reported(EventKind.FILE_CHANGED, photo)
