"""The photo files in the library: new, changed, moved, missing, returned.

Nothing here touches the file system: the caller knows which files exist.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from sqlalchemy import bindparam, insert, select, true, update
from sqlalchemy.orm import Session

from maclip_daemon.files.signature import HasRecordedSignature, HasSignature
from maclip_daemon.library.photos import burst_frames
from maclip_daemon.library.photos.renames import move_photo
from maclip_daemon.library.storage import stored_paths, timestamps
from maclip_daemon.library.storage.photo_paths import (
    PhotoState,
    folder_for,
    photo_at,
)
from maclip_daemon.library.storage.tables import FOLDERS, JOBS, PHOTOS, SCORES, SCORING_CONFIGS

FileChange = Literal["new", "changed", "same", "doubtful", "returned", "moved"]


class FileOnDisk(HasSignature, Protocol):
    """A file as a scan or an event found it."""

    @property
    def path(self) -> str | os.PathLike[str]:
        """The full path."""


MayBeReplaced = Callable[[Session, HasRecordedSignature, FileOnDisk], bool]
"""Whether a file of the recorded size and mtime may have another content."""


@dataclass(frozen=True)
class RecordedFile:
    """What the library made of a file."""

    photo_id: int
    change: FileChange
    needs_score: bool
    """The content is new, changed or was never scored: queue a score job."""
    moved_from: str | None = None
    """The old path of a moved photo."""


def record_file(
    session: Session,
    root_id: int,
    found: FileOnDisk,
    now: float,
    is_gone: Callable[[str], bool] | None = None,
    is_there: Callable[[str, FileOnDisk], bool] | None = None,
    may_be_replaced: MayBeReplaced | None = None,
) -> RecordedFile:
    """Record a file that exists; return what that means for its photo.

    A known path with another size or mtime is `changed`. An unknown path is `moved` when a known photo has
    the same signature and has left its old path: it keeps its scores, journal and number. The caller checks
    the old path: `is_gone(path)` of a present photo, `is_there(path, file)` of a missing one (a photo that is
    at both paths has a new hard link). Where the file itself is gone by then, nothing is recorded, and the
    photo is the `same`: it moved on, or its root went away and took both links along. A later look will tell.

    A known path of the same size and mtime is `doubtful` where `may_be_replaced` says so: it keeps its state
    and is read again. Without that check, where its inode or ctime differ.
    """
    folder, name = stored_paths.split(found.path)
    known = photo_at(session, folder, name)
    if known is None:
        return _record_new(session, root_id, found, now, is_gone, is_there)
    identity = _identity(found)
    if (known.size, known.mtime_ns) != (found.size, found.mtime_ns):
        session.execute(_UPDATE, {"key": known.id, **identity, "state": "waiting", "missing_since": None})
        return RecordedFile(known.id, "changed", needs_score=True)
    is_doubtful = (may_be_replaced or _has_another_inode)(session, known, found)
    if known.state == "missing":
        state = _state_when_back(session, known.id)
        burst_frames.mark_stale(session, [known.id])
        session.execute(_UPDATE, {"key": known.id, **identity, "state": state, "missing_since": None})
        is_doubtful = is_doubtful and count_alike(session, [found]).total() > 1
        return RecordedFile(known.id, "returned", needs_score=state == "waiting" or is_doubtful)
    if is_doubtful or (known.device, known.inode, known.ctime_ns) != (
        found.device,
        found.inode,
        found.ctime_ns,
    ):
        session.execute(_UPDATE, {"key": known.id, **identity, "state": known.state, "missing_since": None})
    return RecordedFile(known.id, "doubtful" if is_doubtful else "same", needs_score=is_doubtful)


def _has_another_inode(_session: Session, known: HasRecordedSignature, found: FileOnDisk) -> bool:
    is_other = known.inode != found.inode or known.ctime_ns not in (None, found.ctime_ns)
    return known.device == found.device and is_other


def count_alike(session: Session, files: Sequence[FileOnDisk]) -> Counter[tuple[int, int]]:
    """Count the photos that have the size and mtime (ns) of one of these files (a thousand at most)."""
    asked = {(found.size, found.mtime_ns) for found in files}
    times = {mtime_ns for _, mtime_ns in asked}
    rows = session.execute(select(PHOTOS.c.size, PHOTOS.c.mtime_ns).where(PHOTOS.c.mtime_ns.in_(times)))
    return Counter((size, mtime_ns) for size, mtime_ns in rows if (size, mtime_ns) in asked)


def record_rename(session: Session, photo_id: int, found: FileOnDisk) -> None:
    """Record the ctime of a file whose rename was reported: on many file systems a rename changes it."""
    signature = _identity(found)
    ctime_ns = signature.pop("ctime_ns")
    is_same = [PHOTOS.c[name] == value for name, value in signature.items()]
    session.execute(update(PHOTOS).where(PHOTOS.c.id == photo_id, *is_same).values(ctime_ns=ctime_ns))


def record_rewrite(session: Session, photo_id: int, found: FileOnDisk) -> None:
    """Record the new signature of a photo that maclip embedded its stars in; its pixels are the same."""
    session.execute(update(PHOTOS).where(PHOTOS.c.id == photo_id).values(**_identity(found)))


def _record_new(
    session: Session,
    root_id: int,
    found: FileOnDisk,
    now: float,
    is_gone: Callable[[str], bool] | None,
    is_there: Callable[[str, FileOnDisk], bool] | None,
) -> RecordedFile:
    for twin in session.execute(_TWINS, _identity(found)).all():
        before = stored_paths.join(twin.path, twin.file_name)
        if twin.state == "missing":
            has_moved = is_there is None or not is_there(before, found)
        else:
            has_moved = is_gone is not None and is_gone(before)
        if not has_moved:
            continue
        # Looked at last: what was there before the old path was looked at says nothing.
        if is_gone is not None and is_gone(os.fspath(found.path)):
            return RecordedFile(twin.id, "same", needs_score=False)
        move_photo(session, twin.id, os.fspath(found.path), root_id)
        state = twin.state if twin.state != "missing" else _state_when_back(session, twin.id)
        session.execute(_UPDATE, {"key": twin.id, **_identity(found), "state": state, "missing_since": None})
        # A rename changes the ctime on many file systems. A new photo of the same burst may have the number
        # of a deleted one.
        is_other = twin.ctime_ns not in (None, found.ctime_ns) and count_alike(session, [found]).total() > 1
        return RecordedFile(twin.id, "moved", state == "waiting" or is_other, moved_from=before)
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
    return RecordedFile(photo_id, "new", needs_score=True)


def recorded_paths(session: Session, found: FileOnDisk) -> list[str]:
    """Return the recorded paths of a file: its other hard links, or its paths before a rename."""
    return [
        stored_paths.join(twin.path, twin.file_name) for twin in session.execute(_TWINS, _identity(found))
    ]


def _identity(found: FileOnDisk) -> dict[str, int]:
    return {
        "device": found.device,
        "inode": found.inode,
        "size": found.size,
        "mtime_ns": found.mtime_ns,
        "ctime_ns": found.ctime_ns,
    }


_INSERT = insert(PHOTOS).returning(PHOTOS.c.id)
_UPDATE = (
    update(PHOTOS)
    .where(PHOTOS.c.id == bindparam("key"))
    .values(
        {
            name: bindparam(name)
            for name in ("device", "inode", "size", "mtime_ns", "ctime_ns", "state", "missing_since")
        }
    )
)
_TWINS = (
    select(PHOTOS.c.id, PHOTOS.c.state, PHOTOS.c.ctime_ns, FOLDERS.c.path, PHOTOS.c.file_name)
    .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
    .where(*(PHOTOS.c[name] == bindparam(name) for name in ("device", "inode", "size", "mtime_ns")))
)


def _state_when_back(session: Session, photo_id: int) -> PhotoState:
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


def mark_checked(session: Session, photo_ids: Sequence[int], began: float) -> None:
    """Record that the rating files of photos held nothing new at `began` (Unix seconds)."""
    if photo_ids:
        moment = timestamps.text(began)
        session.execute(_CHECKED, [{"key": photo_id, "moment": moment} for photo_id in photo_ids])


_CHECKED = update(PHOTOS).where(PHOTOS.c.id == bindparam("key")).values(rating_checked_at=bindparam("moment"))


def set_rating(
    session: Session,
    photo_id: int,
    rating_in_file: int | None,
    owner: Literal["none", "maclip", "person"],
    problem: str | None = None,
) -> bool:
    """Record the rating in the file, whose it is, and why the stars could not be written.

    What a person let maclip replace ends with it: it held for the rating of then. Return whether the library
    knew another rating or owner.
    """
    known = select(PHOTOS.c.rating_in_file, PHOTOS.c.rating_owner).where(PHOTOS.c.id == photo_id)
    is_new = session.execute(known).first() != (rating_in_file, owner)
    session.execute(
        update(PHOTOS)
        .where(PHOTOS.c.id == photo_id)
        .values(rating_in_file=rating_in_file, rating_owner=owner, rating_problem=problem, may_replace=None)
    )
    return is_new
