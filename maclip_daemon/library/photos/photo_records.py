"""The photo files that the library knows: seen, changed, moved, missing, back again.

Pure bookkeeping: whether a file exists is the caller's knowledge, nothing here touches the file system.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from sqlalchemy import bindparam, insert, select, true, update
from sqlalchemy.orm import Session

from maclip_daemon.library.photos.missing_photos import count_missing as count_missing
from maclip_daemon.library.photos.missing_photos import mark_missing as mark_missing
from maclip_daemon.library.photos.missing_photos import purge_missing as purge_missing

# The whole of "photos" for the callers: where they are, how they move and go, have modules of their own.
from maclip_daemon.library.photos.renames import move as move
from maclip_daemon.library.photos.renames import move_folder as move_folder
from maclip_daemon.library.storage import stored_paths, timestamps
from maclip_daemon.library.storage.photo_paths import KnownFile as KnownFile
from maclip_daemon.library.storage.photo_paths import PhotoState as PhotoState
from maclip_daemon.library.storage.photo_paths import at, folder_for
from maclip_daemon.library.storage.photo_paths import find as find
from maclip_daemon.library.storage.photo_paths import folders_under as folders_under
from maclip_daemon.library.storage.photo_paths import known_in_folder as known_in_folder
from maclip_daemon.library.storage.photo_paths import path_of as path_of
from maclip_daemon.library.storage.photo_paths import present_below as present_below
from maclip_daemon.library.storage.tables import (
    FOLDERS,
    JOBS,
    PHOTOS,
    SCORES,
    SCORING_CONFIGS,
)

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
class Sighting:
    """What a found file is to the library."""

    photo_id: int
    change: Change
    needs_score: bool
    """A score job must be enqueued: the content is new, changed, or was never scored."""
    moved_from: str | None = None
    """Where a moved photo was."""


def see(
    session: Session,
    root_id: int,
    found: FoundFile,
    now: float,
    is_gone: Callable[[str], bool] | None = None,
    is_there: Callable[[str, FoundFile], bool] | None = None,
) -> Sighting:
    """Record that a file is there, and say what that means.

    A path the library does not know is `moved` when a known photo has the same device, inode, size and
    mtime, and is missing or `is_gone(its old path)` (the caller looks at the file system): it keeps its
    scores, its journal and its number. A missing one that `is_there(its old path, the file)` again under
    its old name too has got a second name, a hard link. A known path with other size or mtime is `changed`.
    """
    folder, name = stored_paths.split(found.path)
    known = at(session, folder, name)
    if known is None:
        return _see_new(session, root_id, found, now, is_gone, is_there)
    identity = _identity(found)
    if (known.size, known.mtime_ns) != (found.size, found.mtime_ns):
        session.execute(_UPDATE, {"key": known.id, **identity, "state": "waiting", "missing_since": None})
        return Sighting(known.id, "changed", needs_score=True)
    if known.state == "missing":
        state = _state_by_what_is_stored(session, known.id)
        session.execute(_UPDATE, {"key": known.id, **identity, "state": state, "missing_since": None})
        return Sighting(known.id, "returned", needs_score=state == "waiting")
    if (known.device, known.inode) != (found.device, found.inode):  # copied back, or mounted elsewhere
        session.execute(_UPDATE, {"key": known.id, **identity, "state": known.state, "missing_since": None})
    return Sighting(known.id, "same", needs_score=False)


def rewritten(session: Session, photo_id: int, found: FoundFile) -> None:
    """Remember the new size and time of a file that we wrote our stars into; its pixels are as before."""
    session.execute(update(PHOTOS).where(PHOTOS.c.id == photo_id).values(**_identity(found)))


def _see_new(
    session: Session,
    root_id: int,
    found: FoundFile,
    now: float,
    is_gone: Callable[[str], bool] | None,
    is_there: Callable[[str, FoundFile], bool] | None,
) -> Sighting:
    for twin in session.execute(_TWINS, _identity(found)).all():
        before = stored_paths.join(twin.path, twin.file_name)
        if twin.state == "missing":
            has_moved = is_there is None or not is_there(before, found)
        else:
            has_moved = is_gone is not None and is_gone(before)
        if has_moved:
            move(session, twin.id, os.fspath(found.path), root_id)
            state = twin.state
            if state == "missing":
                state = _state_by_what_is_stored(session, twin.id)
                session.execute(
                    _UPDATE, {"key": twin.id, **_identity(found), "state": state, "missing_since": None}
                )
            return Sighting(twin.id, "moved", needs_score=state == "waiting", moved_from=before)
    folder, name = stored_paths.split(found.path)
    photo_id = session.execute(
        _INSERT,
        {
            "folder_id": folder_for(session, root_id, folder),
            "file_name": name,
            "first_seen_at": timestamps.text(now),
            **_identity(found),
        },
    ).scalar_one()
    return Sighting(photo_id, "new", needs_score=True)


def former_paths(session: Session, files: Sequence[FoundFile]) -> list[str]:
    """Give the paths at which these files are known: other names of theirs, or the ones they had."""
    return [
        stored_paths.join(twin.path, twin.file_name)
        for found in files
        for twin in session.execute(_TWINS, _identity(found))
    ]


def _identity(found: FoundFile) -> dict[str, int]:
    return {
        "device": found.device,
        "inode": found.inode,
        "size": found.size,
        "mtime_ns": found.mtime_ns,
    }


_INSERT = insert(PHOTOS).returning(PHOTOS.c.id)
_UPDATE = (
    update(PHOTOS)
    .where(PHOTOS.c.id == bindparam("key"))
    .values(
        {name: bindparam(name) for name in ("device", "inode", "size", "mtime_ns", "state", "missing_since")}
    )
)
_TWINS = (
    select(PHOTOS.c.id, PHOTOS.c.state, FOLDERS.c.path, PHOTOS.c.file_name)
    .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
    .where(*(PHOTOS.c[name] == bindparam(name) for name in ("device", "inode", "size", "mtime_ns")))
)


def _state_by_what_is_stored(session: Session, photo_id: int) -> PhotoState:
    """Return the state of a photo that is back: failed, scored (by the active configuration) or waiting."""
    dead = select(JOBS.c.id).where(
        JOBS.c.photo_id == photo_id, JOBS.c.kind == "score", JOBS.c.state == "dead"
    )
    if session.execute(dead).first() is not None:
        return "failed"
    scored = (
        select(SCORES.c.id)
        .join(SCORING_CONFIGS, SCORING_CONFIGS.c.id == SCORES.c.scoring_config_id)
        .where(SCORES.c.photo_id == photo_id, SCORING_CONFIGS.c.active == true())
    )
    return "waiting" if session.execute(scored).first() is None else "scored"


def set_rating(
    session: Session,
    photo_id: int,
    rating_in_file: int | None,
    owner: Literal["none", "maclip", "person"],
    problem: str | None = None,
) -> None:
    """Remember the rating that stands in the file, whose it is, and why ours could not be written."""
    session.execute(
        update(PHOTOS)
        .where(PHOTOS.c.id == photo_id)
        .values(rating_in_file=rating_in_file, rating_owner=owner, rating_problem=problem)
    )
