"""The watcher for systems without inotify: watchdog's own observer (FSEvents, kqueue, ReadDirectoryChangesW).

These watch a tree as a whole, so excluded folders are left out of the events instead of out of the watch.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from watchdog import events as watchdog_events
from watchdog.observers import Observer

from maclip_daemon.errors import EnvironmentUnfit
from maclip_daemon.files.paths import relative_to
from maclip_daemon.folders.events import Coverage, EventKind, FolderEvent
from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.folders.scanner import folders_only

CLOSE_TIMEOUT_S = 10  # for a consumer that is in the middle of an event

# Folder modifications only say that something in it changed; reading is none of our business.
_WANTED = [
    watchdog_events.FileCreatedEvent,
    watchdog_events.FileModifiedEvent,
    watchdog_events.FileMovedEvent,
    watchdog_events.FileDeletedEvent,
    watchdog_events.DirCreatedEvent,
    watchdog_events.DirMovedEvent,
    watchdog_events.DirDeletedEvent,
]


class ObserverWatcher(watchdog_events.FileSystemEventHandler):
    """A running watcher of one root; see `watcher.Watcher`."""

    def __init__(
        self,
        root: str,
        exclusion: Exclusion,
        is_watched: Callable[[str], bool],
        on_event: Callable[[FolderEvent], None],
    ) -> None:
        self._root = root
        self._exclusion = exclusion
        self._is_watched = is_watched
        self._pass_on = on_event
        self._closed = False
        self._observer = Observer()
        try:
            self._observer.schedule(self, root, recursive=True, event_filter=_WANTED)
            self._observer.start()
        except OSError as error:
            raise EnvironmentUnfit(
                f"The folder {root} cannot be watched ({error.strerror or error}); only scans find photos."
            ) from None

    @property
    def alive(self) -> bool:
        """Return False once one of the observer's threads has died."""
        threads = [self._observer, *self._observer.emitters]
        return not self._closed and all(thread.is_alive() for thread in threads)

    def coverage(self) -> Coverage:
        """Count the folders: these systems watch all of them or none."""
        folders = sum(1 for _ in folders_only(self._root, self._exclusion))
        if self.alive:
            return Coverage(folders, folders, None, (), "")
        return Coverage(folders, 0, None, (self._root,), "The watcher ended; the daemon starts it again.")

    def close(self) -> None:
        """Stop watching; no event comes after it returned."""
        self._closed = True
        self._observer.stop()
        self._observer.join(CLOSE_TIMEOUT_S)

    def on_any_event(self, event: watchdog_events.FileSystemEvent) -> None:
        """Handle an event of watchdog."""
        if self._closed or event.is_synthetic:  # made up by watchdog for what lies below a moved folder
            return
        source, destination = os.fsdecode(event.src_path), os.fsdecode(event.dest_path)
        source = source if self._is_wanted(source, event.is_directory) else ""
        destination = destination if self._is_wanted(destination, event.is_directory) else ""
        if event.event_type == watchdog_events.EVENT_TYPE_MOVED:
            self._moved(source, destination, event.is_directory)
        elif source and event.event_type == watchdog_events.EVENT_TYPE_DELETED:
            self._emit(EventKind.FOLDER_GONE if event.is_directory else EventKind.FILE_GONE, source)
        elif source:
            self._emit(EventKind.RESCAN if event.is_directory else EventKind.FILE_CHANGED, source)

    def _moved(self, source: str, destination: str, is_folder: bool) -> None:
        if source and destination:
            self._emit(EventKind.FOLDER_MOVED if is_folder else EventKind.FILE_MOVED, source, destination)
        elif source:
            self._emit(EventKind.FOLDER_GONE if is_folder else EventKind.FILE_GONE, source)
        elif destination:
            self._emit(EventKind.RESCAN if is_folder else EventKind.FILE_CHANGED, destination)

    def _is_wanted(self, path: str, is_folder: bool) -> bool:
        relative = relative_to(self._root, path)
        if not path or (not is_folder and not self._is_watched(os.path.basename(path))):  # noqa: PTH119
            return False
        return not relative or not self._exclusion.excludes_path(relative, is_folder=is_folder)

    def _emit(self, kind: EventKind, path: str, destination: str = "") -> None:
        self._pass_on(FolderEvent(kind, path, destination))
