"""The files that hold maclip's ratings, as the journal has them: what checks of the files start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, case, exists, func, or_, select
from sqlalchemy.orm import Session

from maclip_daemon.library.storage import stored_paths, timestamps
from maclip_daemon.library.storage.tables import FOLDERS, JOBS, JOURNAL, PHOTOS, SCORES

MACLIPS = ("maclip",)
MACLIPS_AND_PERSONS = ("maclip", "person")


@dataclass(frozen=True)
class WrittenFile:
    """The last write to a photo's rating file that was not undone."""

    photo_id: int
    path: str
    photo_path: str
    written_at: float
    """Unix seconds."""
    looked_at: float
    """Unix seconds from which the file was last found as we wrote it; 0: not looked at since."""
    photo_changed_at: float
    """Unix seconds of the change of the photo's inode (a rename); 0: not known, or work on it waits."""
    is_persons: bool
    """Whether the rating that counts is a person's."""

    def checked_at(self, now: float) -> float | None:
        """Return when the file was last known to be as we wrote it, in Unix seconds; None: not known.

        A time after `now` is of a clock that was ahead, and tells nothing.
        """
        return max((each for each in (self.written_at, self.looked_at) if 0 < each <= now), default=None)


def hashes_written(session: Session, target_paths: Sequence[str]) -> dict[str, str]:
    """Return the hashes of the last writes to these files, unconfirmed ones included."""
    rows = session.execute(
        select(JOURNAL.c.target_path, JOURNAL.c.after_hash)
        .where(JOURNAL.c.target_path.in_(target_paths), JOURNAL.c.state.in_(("intended", "written")))
        .order_by(JOURNAL.c.id)
    )
    return {path: after_hash for path, after_hash in rows}


def last_writes(
    session: Session, after: int, limit: int, owners: Sequence[str] = MACLIPS
) -> list[WrittenFile]:
    """Return the last writes of photos with ids above `after` whose rating is one of these owners', by id.

    Without photos that `maclip undo` holds: it is changing their files itself.
    """
    rows = session.execute(_LAST_WRITES, {"after": after, "limit": limit, "owners": owners})
    return [_written_file(row) for row in rows]


@dataclass(frozen=True)
class PersonsPhoto:
    """A photo in whose files only a person writes."""

    photo_id: int
    path: str
    checked_at: float
    """Unix seconds from which its files were looked at last; 0: not known."""
    photo_changed_at: float
    """As of `WrittenFile`."""


def only_persons(session: Session, after: int, limit: int) -> list[PersonsPhoto]:
    """Return photos with ids above `after` in whose files only a person writes, by id.

    Those that a person rated before maclip came, and those that `maclip undo` holds, once it is through.
    """
    rows = session.execute(_ONLY_PERSONS, {"after": after, "limit": limit})
    return [
        PersonsPhoto(
            row.id,
            stored_paths.join(row.path, row.file_name),
            timestamps.seconds(row.checked_at) if row.checked_at else 0.0,
            row.changed_at_ns / 1e9,
        )
        for row in rows
    ]


def last_writes_to(session: Session, target_paths: Sequence[str]) -> list[WrittenFile]:
    """Return the last writes of photos whose rating is maclip's and is in one of these files; see above."""
    newest = _LAST_WRITE.where(JOURNAL.c.target_path.in_(target_paths))
    rows = session.execute(newest, {"owners": MACLIPS})
    return [_written_file(row) for row in rows]


def _written_file(row: Any) -> WrittenFile:
    photo = stored_paths.join(row.path, row.file_name)
    return WrittenFile(
        row.photo_id,
        row.target_path,
        photo,
        timestamps.seconds(row.settled_at),
        timestamps.seconds(row.rating_checked_at) if row.rating_checked_at else 0.0,
        row.changed_at_ns / 1e9,
        is_persons=row.rating_owner == "person",
    )


_NEWER = JOURNAL.alias("newer")
_NEWEST_ENTRY = (
    select(func.max(_NEWER.c.id))
    .where(_NEWER.c.photo_id == JOURNAL.c.photo_id, _NEWER.c.state == "written")
    .correlate(JOURNAL)
    .scalar_subquery()
)
# Where a photo was just renamed, its job gives other programs time to rename the sidecars.
_HAS_WORK = exists().where(JOBS.c.photo_id == PHOTOS.c.id, JOBS.c.kind == "rate", JOBS.c.state != "dead")
_CHANGED_AT_NS = case((_HAS_WORK, 0), else_=func.coalesce(PHOTOS.c.ctime_ns, 0)).label("changed_at_ns")
_LAST_WRITE = (
    select(
        JOURNAL.c.photo_id,
        JOURNAL.c.target_path,
        JOURNAL.c.settled_at,
        PHOTOS.c.rating_checked_at,
        PHOTOS.c.rating_owner,
        _CHANGED_AT_NS,
        FOLDERS.c.path,
        PHOTOS.c.file_name,
    )
    .join(PHOTOS, PHOTOS.c.id == JOURNAL.c.photo_id)
    .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
    .where(
        JOURNAL.c.id == _NEWEST_ENTRY,
        PHOTOS.c.rating_owner.in_(bindparam("owners", expanding=True)),
        PHOTOS.c.rating_undone_at.is_(None),
        PHOTOS.c.state != "missing",
    )
)
_ONLY_PERSONS = (
    select(
        PHOTOS.c.id,
        _CHANGED_AT_NS,
        FOLDERS.c.path,
        PHOTOS.c.file_name,
        # Their files were read after they were scored, and undo changed them after it began.
        func.coalesce(
            PHOTOS.c.rating_checked_at,
            PHOTOS.c.rating_undone_at,
            select(func.max(SCORES.c.scored_at)).where(SCORES.c.photo_id == PHOTOS.c.id).scalar_subquery(),
        ).label("checked_at"),
    )
    .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
    .where(
        or_(PHOTOS.c.rating_owner == "person", PHOTOS.c.rating_undone_at.is_not(None)),
        PHOTOS.c.state != "missing",
        ~exists().where(JOURNAL.c.photo_id == PHOTOS.c.id, JOURNAL.c.state == "written"),
        PHOTOS.c.id > bindparam("after"),
    )
    .order_by(PHOTOS.c.id)
    .limit(bindparam("limit"))
)
_LAST_WRITES = (
    _LAST_WRITE.where(JOURNAL.c.photo_id > bindparam("after"))
    .order_by(JOURNAL.c.photo_id)
    .limit(bindparam("limit"))
)
