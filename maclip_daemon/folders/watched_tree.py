"""The folders of a root that the kernel reports on.

inotify names a folder by its watch descriptor only, and a watch stays with its folder when that is renamed.
So the tree keeps names and parents: a renamed folder takes everything below along in one step.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Iterator

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyFD,
    Mask,
    WatchCallback,
    WatchDescriptor,
)

from maclip_daemon.files.paths import relative_to
from maclip_daemon.folders.exclusion import Exclusion

# No IN_OPEN, IN_ACCESS or IN_CLOSE_NOWRITE: our own decoder's reading must not wake us. No IN_MODIFY: a copy
# of 50 MB would be thousands of events; the debouncer checks the size instead. No IN_ATTRIB.
_MASK = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_MOVED_FROM
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_ONLYDIR
    | InotifyConstants.IN_DONT_FOLLOW
    | InotifyConstants.IN_EXCL_UNLINK
)
_ROOT_MASK = Mask(_MASK | InotifyConstants.IN_MOVE_SELF)


class WatchedFolder:
    """A folder that is to be watched; `descriptor` is None while the kernel does not report on it."""

    __slots__ = ("callback_id", "children", "descriptor", "name", "parent")

    def __init__(self, name: str, parent: WatchedFolder | None) -> None:
        self.name = name
        self.parent = parent
        self.children: dict[str, WatchedFolder] = {}
        self.descriptor: int | None = None
        self.callback_id = 0

    @property
    def path(self) -> str:
        """Return the path, up to date with the events; the root's name is its whole path."""
        names = []
        folder: WatchedFolder | None = self
        while folder is not None:
            names.append(folder.name)
            folder = folder.parent
        return os.path.join(*reversed(names))

    def path_of(self, name: str) -> str:
        """Return the path of an entry of this folder."""
        return os.path.join(self.path, name)

    def child(self, name: str) -> WatchedFolder:
        """Return the folder of that name in this one; add it if it is missing."""
        if name not in self.children:
            self.children[name] = WatchedFolder(name, self)
        return self.children[name]

    def move(self, parent: WatchedFolder, name: str) -> None:
        """Move this folder, with all below it, into another one."""
        if self.parent is not None:
            del self.parent.children[self.name]
        self.parent, self.name = parent, name
        parent.children[name] = self

    def is_in(self, other: WatchedFolder) -> bool:
        """Return whether this is that folder, or somewhere below it."""
        folder: WatchedFolder | None = self
        while folder is not None and folder is not other:
            folder = folder.parent
        return folder is other

    def with_all_below(self) -> Iterator[WatchedFolder]:
        """Yield this folder and every one below it."""
        pending = [self]
        while pending:
            folder = pending.pop()
            yield folder
            pending.extend(folder.children.values())


class WatchedTree:
    """The folders of a root that are not excluded, each with its watch. The caller brings the lock."""

    def __init__(
        self,
        root: str,
        exclusion: Exclusion,
        is_watched: Callable[[str], bool],
        inotify: InotifyFD,
        callback: WatchCallback,
    ) -> None:
        self.root = WatchedFolder(root, None)
        self.limit_reached = False
        """The kernel refused a watch because the user's are used up; the caller resets it."""
        self._exclusion = exclusion
        self._is_watched = is_watched
        self._inotify = inotify
        self._callback = callback
        self._callback_ids = itertools.count(1)
        self._by_descriptor: dict[int, WatchedFolder] = {}

    def find(self, descriptor: int) -> WatchedFolder | None:
        """Return the folder on which this watch reports."""
        return self._by_descriptor.get(descriptor)

    def excludes_folder(self, parent: WatchedFolder, name: str) -> bool:
        """Return whether that folder in `parent` is excluded."""
        return self._exclusion.excludes_folder(self._relative_prefix(parent) + name)

    def is_wanted(self, folder: WatchedFolder, name: str) -> bool:
        """Return whether that file in `folder` is watched."""
        return self._is_watched(name) and not self._exclusion.excludes_file(
            self._relative_prefix(folder) + name
        )

    def walk(self, start: WatchedFolder) -> bool:
        """Read the tree below `start` anew from the disk; return whether it holds any photo."""
        photos_seen = False
        pending = [start]
        while pending:
            folder = pending.pop()
            self.watch(folder)  # before it is listed, so that no change falls between the two
            prefix = self._relative_prefix(folder)
            names = set()
            try:
                with os.scandir(folder.path) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            if not self._exclusion.excludes_folder(prefix + entry.name):
                                names.add(entry.name)
                        elif not photos_seen:
                            photos_seen = self.is_wanted(folder, entry.name)
            except (FileNotFoundError, NotADirectoryError):
                self.drop(folder)
                continue
            except OSError:  # no permission: it stays in the tree, unwatched
                names = set(folder.children)
            for name in folder.children.keys() - names:
                self.drop(folder.children[name])
            pending.extend(folder.child(name) for name in names)
        return photos_seen

    def watch(self, folder: WatchedFolder) -> None:
        """Watch a folder; its `descriptor` stays None when the kernel refuses."""
        descriptor, callback_id = self._add_watch(folder)
        if descriptor is not None and descriptor == folder.descriptor:
            self._inotify.remove_callbacks([(descriptor, callback_id)])  # the one of before serves on
            return
        self._unwatch(folder)
        if descriptor is None:
            return
        other = self._by_descriptor.get(descriptor)
        if other is not None:  # renamed, and a walk came here before the event: the watch moved along
            self._inotify.remove_callbacks([(descriptor, callback_id)])
            other.descriptor, callback_id = None, CallbackId(other.callback_id)
        folder.descriptor, folder.callback_id = descriptor, callback_id
        self._by_descriptor[descriptor] = folder

    def lost(self, descriptor: int) -> WatchedFolder | None:
        """Forget a watch that the kernel dropped; return its folder."""
        folder = self._by_descriptor.pop(descriptor, None)
        if folder is not None:
            folder.descriptor = None
        return folder

    def drop(self, start: WatchedFolder) -> None:
        """Take a folder and all below it out of the tree."""
        for folder in start.with_all_below():
            self._unwatch(folder)
        if start.parent is not None:
            start.parent.children.pop(start.name, None)
        start.children = {}

    def _add_watch(self, folder: WatchedFolder) -> tuple[WatchDescriptor | None, CallbackId]:
        mask = _ROOT_MASK if folder is self.root else _MASK
        # watchdog warns when one callback is given twice under the same number
        callback_id = CallbackId(next(self._callback_ids))
        try:
            descriptor = self._inotify.add_callback(
                os.fsencode(folder.path), mask, self._callback, callback_id
            )
        except OSError as error:
            if error.errno == errno.ENOSPC:
                self.limit_reached = True
            return None, callback_id
        if descriptor < 0:  # watchdog takes "no permission" for success
            self._inotify.remove_callbacks([(descriptor, callback_id)])
            return None, callback_id
        return descriptor, callback_id

    def _unwatch(self, folder: WatchedFolder) -> None:
        if folder.descriptor is not None:
            descriptor, folder.descriptor = WatchDescriptor(folder.descriptor), None
            self._by_descriptor.pop(descriptor, None)
            self._inotify.remove_callbacks([(descriptor, CallbackId(folder.callback_id))])

    def _relative_prefix(self, folder: WatchedFolder) -> str:
        relative = relative_to(self.root.name, folder.path)
        return relative + "/" if relative else ""
