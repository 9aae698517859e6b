"""The watcher for Linux: inotify through watchdog's reader, with our own recursion.

watchdog's recursive watch would watch excluded folders too, swallows the exhaustion of the user's watches,
and listens for more than we need. So only its lowest layer is used: `InotifyFD`, which reads the kernel's
queue in one thread and calls us for each event; which folders are watched is decided here.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent, InotifyFD, WatchDescriptor

from maclip_daemon.errors import EnvironmentUnfit
from maclip_daemon.folders.departures import CLOSE_TIMEOUT_S, Departed, Departures
from maclip_daemon.folders.events import Coverage, EventKind, FolderEvent
from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.folders.scanner import is_folder
from maclip_daemon.folders.watch_limit import watch_limit, watch_limit_hint
from maclip_daemon.folders.watched_tree import WatchedFolder, WatchedTree

UNWATCHED_NAMED = 10  # unwatched folders that a coverage report lists


class InotifyWatcher:
    """A running watcher of one root; see `watcher.Watcher`."""

    def __init__(
        self,
        root: str,
        exclusion: Exclusion,
        is_watched: Callable[[str], bool],
        on_event: Callable[[FolderEvent], None],
    ) -> None:
        self._pass_on = on_event
        self._closed = False
        self._limit_reported = False
        # Held while an event is passed on, so that events keep their order. `close` must not need it.
        self._lock = threading.RLock()
        self._departures = Departures(self._lock, self._went_out)
        try:
            self._inotify = InotifyFD()
        except OSError as error:
            raise EnvironmentUnfit(
                f"No inotify instance is left to watch {root} ({error.strerror}); its photos are only "
                "found by scans. Raise the limit: `sudo sysctl fs.inotify.max_user_instances=512`."
            ) from None
        self._tree = WatchedTree(root, exclusion, is_watched, self._inotify, self)
        self._inotify.name = f"inotify {root!r}"
        self._inotify.start()
        with self._lock:
            self._walk(self._tree.root)
        if not self.alive:
            self.close()
            reason = (
                watch_limit_hint() if self._tree.limit_reached else "Check that it exists and may be read."
            )
            raise EnvironmentUnfit(f"The folder {root} cannot be watched. {reason}")

    @property
    def alive(self) -> bool:
        """Return False once the reader thread has died or the root is no longer watched."""
        return not self._closed and self._inotify.is_alive() and self._tree.root.descriptor is not None

    def coverage(self) -> Coverage:
        """Walk the folders, watch those that are not watched yet, and return the coverage.

        A rescan is reported of each that was not watched before: a scan may have passed it too early.
        """
        with self._lock:
            self._tree.limit_reached = False
            before = {folder: folder.descriptor for folder in self._tree.root.with_all_below()}
            if self.alive:
                self._tree.walk(self._tree.root)
            self._limit_reported = self._tree.limit_reached
            folders = list(self._tree.root.with_all_below())
            new = {folder for folder in folders if folder.descriptor not in (None, before.get(folder))}
            for folder in new:  # their content came before their watch: its events may never have been
                if folder.parent not in new:
                    self._emit(EventKind.RESCAN, folder.path)
            unwatched = [folder.path for folder in folders if folder.descriptor is None]
            if not unwatched:
                cure = ""
            elif self._tree.limit_reached:
                cure = watch_limit_hint()
            else:
                cure = (
                    f"{unwatched[0]} cannot be watched. Check that it exists and that this user may read it."
                )
        watched = len(folders) - len(unwatched)
        return Coverage(len(folders), watched, watch_limit(), tuple(unwatched[:UNWATCHED_NAMED]), cure)

    def close(self) -> None:
        """Stop watching; no event comes after it returned."""
        self._closed = True
        self._inotify.stop()
        if self._inotify is not threading.current_thread():
            self._inotify.join(CLOSE_TIMEOUT_S)
        self._departures.close()

    def on_event(self, event: InotifyEvent) -> None:
        """Handle an event of the kernel, in watchdog's reader thread."""
        with self._lock:
            folder = self._tree.find(event.wd)
            if self._closed or folder is None:
                return
            if event.is_move_self or event.mask & InotifyConstants.IN_UNMOUNT:
                self._lose(folder)
            elif event.name and event.mask & InotifyConstants.IN_ISDIR:
                self._on_folder_event(event, folder, os.fsdecode(event.name))
            elif event.name:
                self._on_file_event(event, folder, os.fsdecode(event.name))

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Handle the loss of a watch: its folder is gone. Only the root's loss has no other event."""
        if self._closed:
            return
        with self._lock:
            if self._tree.lost(wd) is self._tree.root:
                self._emit_error(f"The folder {self._tree.root.path} was removed or unmounted.")

    def on_queue_overflow(self) -> None:
        """Rebuild the tree from the disk, after the kernel lost events."""
        with self._lock:
            if self._closed:
                return
            self._departures.clear()
            self._walk(self._tree.root)
            self._emit(EventKind.OVERFLOW, self._tree.root.path)

    def _on_file_event(self, event: InotifyEvent, folder: WatchedFolder, name: str) -> None:
        if event.is_moved_from:
            self._departures.add(event.cookie, Departed(folder, name, is_folder=False))
            return
        source = self._departures.take(event.cookie) if event.is_moved_to else None
        if source is not None and not self._tree.is_wanted(source.folder, source.name):
            source = None  # a temporary name: no known file was moved
        if not self._tree.is_wanted(folder, name):
            if source is not None:
                self._file_left(source.folder, source.name)
        elif source is not None:
            self._emit(EventKind.FILE_MOVED, source.folder.path_of(source.name), folder.path_of(name))
        elif event.is_delete:
            self._file_left(folder, name)
        else:
            self._emit(EventKind.FILE_CHANGED, folder.path_of(name))

    def _on_folder_event(self, event: InotifyEvent, parent: WatchedFolder, name: str) -> None:
        if event.is_moved_from:
            self._departures.add(event.cookie, Departed(parent, name, is_folder=True))
        elif event.is_delete:
            self._folder_left(parent, name)
        elif event.is_moved_to or event.is_create:
            source = self._departures.take(event.cookie) if event.is_moved_to else None
            self._departures.place_taken(parent, name)
            if source is not None and self._tree.excludes_folder(source.folder, source.name):
                source = None
            if self._tree.excludes_folder(parent, name):
                if source is not None:
                    self._folder_left(source.folder, source.name)
            elif source is not None:
                self._folder_moved(source, parent, name)
            else:
                self._folder_arrived(parent, name)

    def _folder_arrived(self, parent: WatchedFolder, name: str) -> None:
        folder = parent.child(name)
        before = folder.descriptor
        self._tree.watch(folder)
        if before is not None and folder.descriptor == before:
            return  # a walk was quicker than the event, and has reported the content too
        # Without a watch it has no further events: a scan finds at least its present content.
        if self._walk(folder) or folder.descriptor is None:
            self._emit(EventKind.RESCAN, folder.path)

    def _folder_moved(self, source: Departed, parent: WatchedFolder, name: str) -> None:
        old_path = source.folder.path_of(source.name)
        moved = source.folder.children.get(source.name)  # None: a walk was quicker than the event
        if moved is not None and parent.is_in(moved):
            moved = None  # a walk found another folder of that name
        if moved is not None and name in parent.children:  # so it was here, or an empty folder was replaced
            self._tree.drop(moved)
        elif moved is not None:
            moved.move(parent, name)
        self._walk(parent.child(name))  # patterns may exclude other parts of it in its new place
        self._emit(EventKind.FOLDER_MOVED, old_path, parent.path_of(name))
        if source.folder.descriptor is not None and is_folder(old_path):  # the two swapped their names
            self._folder_arrived(source.folder, source.name)

    def _folder_left(self, parent: WatchedFolder, name: str) -> None:
        if self._tree.excludes_folder(parent, name):
            return
        folder, path = parent.children.get(name), parent.path_of(name)
        if folder is not None:  # else a walk was quicker than the event, and told nobody
            self._tree.drop(folder)
        # A new folder of that name has its own event, which watches it.
        self._emit(EventKind.RESCAN if is_folder(path) else EventKind.FOLDER_GONE, path)

    def _file_left(self, folder: WatchedFolder, name: str) -> None:
        path = folder.path_of(name)
        self._emit(EventKind.FILE_CHANGED if os.path.lexists(path) else EventKind.FILE_GONE, path)

    def _went_out(self, departed: Departed) -> None:
        if departed.is_folder:
            self._folder_left(departed.folder, departed.name)
        elif self._tree.is_wanted(departed.folder, departed.name):
            self._file_left(departed.folder, departed.name)

    def _lose(self, folder: WatchedFolder) -> None:
        path = folder.path
        self._tree.drop(folder)
        if folder is self._tree.root:
            self._emit_error(f"The folder {path} was renamed or unmounted.")
        else:  # a disk mounted inside the root is gone; its mount point is there, empty
            self._emit(EventKind.RESCAN, path)

    def _walk(self, start: WatchedFolder) -> bool:
        photos_seen = self._tree.walk(start)
        if self._tree.limit_reached and not self._limit_reported:
            self._limit_reported = True
            self._emit_error(watch_limit_hint())
        return photos_seen

    def _emit(self, kind: EventKind, path: str, destination: str = "") -> None:
        if not self._closed:
            self._pass_on(FolderEvent(kind, path, destination))

    def _emit_error(self, reason: str) -> None:
        if not self._closed:
            self._pass_on(FolderEvent(EventKind.ERROR, self._tree.root.name, reason=reason))
