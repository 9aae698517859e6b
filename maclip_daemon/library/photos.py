"""The photo files that the library knows: seen, changed, moved, missing, back again.

Pure bookkeeping: whether a file exists is the caller's knowledge, nothing here touches the file system.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from sqlalchemy.orm import Session

PhotoState = Literal["waiting", "scored", "failed", "missing"]
Change = Literal["new", "changed", "same", "returned", "moved"]


class FoundFile(Protocol):
    """A file as a scan or an event found it."""

    @property
    def path(self) -> str | os.PathLike[str]:
        """The full path."""

    @property
    def device(self) -> int:
        """`st_dev`."""

    @property
    def inode(self) -> int:
        """`st_ino`."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def mtime_ns(self) -> int:
        """Nanoseconds since 1970."""


@dataclass(frozen=True)
class KnownFile:
    """What the library remembers of a file: enough to see that nothing changed."""

    photo_id: int
    device: int
    inode: int
    size: int
    mtime_ns: int
    state: PhotoState


@dataclass(frozen=True)
class Sighting:
    """What a found file is to the library."""

    photo_id: int
    change: Change
    needs_score: bool
    """A score job must be enqueued: the content is new, changed, or was never scored."""
    moved_from: str | None = None
    """Where a moved photo was."""


def known_in_folder(session: Session, folder: str) -> dict[str, KnownFile]:
    """Give what is known of the files directly in `folder`, by file name, missing ones included."""
    raise NotImplementedError


def folders_under(session: Session, folder: str) -> list[str]:
    """Give every known folder that is or lies below `folder`, in path order."""
    raise NotImplementedError


def find(session: Session, path: str) -> int | None:
    """Give the number of the photo at `path`."""
    raise NotImplementedError


def see(
    session: Session,
    root_id: int,
    found: FoundFile,
    now: float,
    is_gone: Callable[[str], bool] = lambda path: False,
) -> Sighting:
    """Record that a file is there, and say what that means.

    A path the library does not know is `moved` when a known photo has the same device, inode, size and
    mtime, and is missing or `is_gone(its old path)` (the caller looks at the file system): it keeps its
    scores, its journal and its number. A known path with other size or mtime is `changed`.
    """
    raise NotImplementedError


def move(session: Session, photo_id: int, new_path: str, root_id: int) -> None:
    """Give a photo another path; what was known at that path is forgotten, for its file was replaced.

    Journal entries of the photo itself and of its sidecars move along.
    """
    raise NotImplementedError


def move_folder(session: Session, old: str, new: str, root_id: int) -> int:
    """Rename a folder and all below it; how many photos moved. Nothing is decoded or scored again."""
    raise NotImplementedError


def mark_missing(session: Session, photo_ids: Iterable[int], now: float) -> int:
    """Remember that files are gone. Scores and journal stay; waiting jobs go; how many were not missing yet."""
    raise NotImplementedError


def set_facts(
    session: Session,
    photo_id: int,
    *,
    width: int,
    height: int,
    taken_at: datetime | None,
    pixel_hash: str,
) -> bool:
    """Remember what decoding found; True: the pixels are others than before, and old scores were dropped.

    `width`, `height`: of the upright photo, in pixels.
    """
    raise NotImplementedError


def set_rating(
    session: Session,
    photo_id: int,
    rating_in_file: int | None,
    owner: Literal["none", "maclip", "person"],
) -> None:
    """Remember the rating that stands in the file, and whose it is."""
    raise NotImplementedError


def count_missing(session: Session, under: str | None = None) -> int:
    """Count the missing photos (below `under`), before `purge_missing` is confirmed."""
    raise NotImplementedError


def purge_missing(session: Session, under: str | None = None) -> int:
    """Forget the missing photos (below `under`) with their scores; how many. The journal stays."""
    raise NotImplementedError
