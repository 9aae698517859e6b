"""Watchers: events from a root, sooner than a scan would find the changes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Protocol

from maclip_daemon.folders.events import Coverage, FolderEvent
from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.folders.root_health import Root

OnEvent = Callable[[FolderEvent], None]


class Watcher(Protocol):
    """A running watcher of one root."""

    @property
    def alive(self) -> bool:
        """Return False once its thread has died or its root is no longer watched: close and replace it."""

    def coverage(self) -> Coverage:
        """Walk the folders, watch those that are not watched yet, and return the coverage."""

    def close(self) -> None:
        """Stop watching; no event comes after it returned. May be called twice."""


def watch(root: Root, exclusion: Exclusion, is_watched: Callable[[str], bool], on_event: OnEvent) -> Watcher:
    """Start to watch files whose names `is_watched` accepts.

    `on_event` is called in the watcher's own thread; it may block for a while (the kernel queues 16 384
    events, then OVERFLOW follows). An exception in it ends the watcher (`alive` is False).

    Raises `EnvironmentUnfit` with the remedy when the system allows no watcher.
    """
    if sys.platform == "linux":
        from maclip_daemon.folders.inotify import InotifyWatcher

        return InotifyWatcher(root.path, exclusion, is_watched, on_event)
    from maclip_daemon.folders.observer import ObserverWatcher

    return ObserverWatcher(root.path, exclusion, is_watched, on_event)
