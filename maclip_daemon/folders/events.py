"""The events of a watcher, and how many folders it covers."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class EventKind(enum.StrEnum):
    """Changes of photos, of their sidecars, and of folders that hold these."""

    FILE_CHANGED = "file_changed"
    """A photo or a sidecar appeared or was written."""
    FILE_GONE = "file_gone"
    """It was deleted or moved out of the root."""
    FILE_MOVED = "file_moved"
    """It was renamed inside the root, perhaps over another one."""
    FOLDER_GONE = "folder_gone"
    """A folder was deleted or moved out of the root (or to where it is excluded)."""
    FOLDER_MOVED = "folder_moved"
    """A folder was renamed inside the root, with all it holds. Scan the destination too: files that had not
    settled moved with it."""
    RESCAN = "rescan"
    """A folder appeared with photos in it: scan it."""
    OVERFLOW = "overflow"
    """The system lost events: scan the root."""
    ERROR = "error"
    """The watcher may miss events (see `reason`): check the root's health and scan it."""


@dataclass(frozen=True, slots=True)
class FolderEvent:
    """One event; `destination` only for moves, `reason` only for errors."""

    kind: EventKind
    path: str
    destination: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a root the events cover."""

    folders: int
    """Folders that a scan walks."""
    watched: int
    """Folders among them for which the kernel reports events."""
    limit: int | None
    """inotify watches that this user may have; None where there is no such limit."""
    unwatched: tuple[str, ...]
    """The first few folders without events."""
    cure: str
    """A message with the remedy; '' when all is watched."""

    @property
    def is_complete(self) -> bool:
        """Return whether every folder is watched."""
        return self.watched >= self.folders
