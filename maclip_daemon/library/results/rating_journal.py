"""The journal of every change to a metadata file.

`intend` is committed before the file is replaced, `confirm` after. After a kill, `unconfirmed` returns the
entries between, and the hash of the file tells what happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Row, bindparam, case, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from maclip_daemon.library.storage import stored_paths, timestamps
from maclip_daemon.library.storage.photo_paths import ids_at, is_under
from maclip_daemon.library.storage.tables import FOLDERS, JOBS, JOURNAL, PHOTOS

TargetKind = Literal["sidecar", "embed"]
EntryState = Literal["intended", "written", "abandoned", "undone"]


@dataclass(frozen=True)
class JournalRow:
    """One change of one file."""

    id: int
    photo_id: int | None
    """None: the photo was purged."""
    target_path: str
    kind: TargetKind
    state: EntryState
    before_hash: str | None
    """None: there was no file."""
    after_hash: str
    restore: bytes
    """How to restore the earlier bytes, in a format of `metadata`."""
    origin_path: str | None
    """The path at the time of writing, if the photo was renamed since and the file perhaps was not."""
    stars_before: int | None
    stars_written: int | None
    intended_at: str


def intend(
    session: Session,
    photo_id: int,
    target_path: str,
    kind: TargetKind,
    *,
    before_hash: str | None,
    after_hash: str,
    restore: bytes,
    stars_before: int | None,
    stars_written: int | None,
    now: float,
) -> int:
    """Record a change that is about to be made; return the entry's id. Commit before touching the file."""
    added = insert(JOURNAL).values(
        photo_id=photo_id,
        target_path=target_path,
        kind=kind,
        before_hash=before_hash,
        after_hash=after_hash,
        stars_before=stars_before,
        stars_written=stars_written,
        intended_at=timestamps.text(now),
        restore_data=restore,
        pixel_hash=select(PHOTOS.c.pixel_hash).where(PHOTOS.c.id == photo_id).scalar_subquery(),
    )
    return int(session.execute(added.returning(JOURNAL.c.id)).scalar_one())


def confirm(session: Session, entry_id: int, now: float) -> None:
    """Record that the file was replaced: the entry is `written`, and the rating in the file is maclip's."""
    settled = session.execute(
        _SETTLE.returning(
            JOURNAL.c.photo_id, JOURNAL.c.stars_written, JOURNAL.c.before_hash, JOURNAL.c.target_path
        ),
        {"key": entry_id, "becomes": "written", "moment": timestamps.text(now)},
    ).first()
    if settled is not None and settled.before_hash is None:
        # Another program had deleted the file: nothing is left that the entries before could restore.
        earlier = {"entry": entry_id, "path": settled.target_path, "moment": timestamps.text(now)}
        session.execute(_SUPERSEDE, earlier)
    if settled is None or settled.photo_id is None:
        return
    values: dict[str, object] = {
        "stars_written": settled.stars_written,
        "rating_undone_at": None,
        "rating_problem": None,
        "other_library": None,
        "may_replace": None,
    }
    if settled.stars_written is not None:
        values |= {"rating_in_file": settled.stars_written, "rating_owner": "maclip"}
    session.execute(update(PHOTOS).where(PHOTOS.c.id == settled.photo_id).values(**values))


def abandon(session: Session, entry_id: int, now: float) -> None:
    """Record that the file was left as it was."""
    session.execute(_SETTLE, {"key": entry_id, "becomes": "abandoned", "moment": timestamps.text(now)})


_SETTLE = (
    update(JOURNAL)
    .where(JOURNAL.c.id == bindparam("key"), JOURNAL.c.state == "intended")
    .values(state=bindparam("becomes"), settled_at=bindparam("moment"))
)


_SUPERSEDE = (
    update(JOURNAL)
    .where(
        JOURNAL.c.target_path == bindparam("path"),
        JOURNAL.c.origin_path.is_(None),  # else its file may lie where the photo was before
        JOURNAL.c.id < bindparam("entry"),
        JOURNAL.c.state == "written",
    )
    .values(state="undone", settled_at=bindparam("moment"), restore_data=None)
)


def unconfirmed(session: Session) -> list[JournalRow]:
    """Return the entries of a killed program, neither confirmed nor abandoned, oldest first."""
    rows = session.execute(select(JOURNAL).where(JOURNAL.c.state == "intended").order_by(JOURNAL.c.id))
    return [_entry(row) for row in rows]


def undo_targets(session: Session, under: str | None = None) -> list[str]:
    """Return the files with changes that were not undone.

    `under`: only that file, the files below that folder, and those of the photo at that path.
    """
    chosen = select(JOURNAL.c.target_path).where(JOURNAL.c.state == "written").distinct()
    if under is not None:
        chosen = chosen.where(
            or_(
                JOURNAL.c.target_path == under,
                JOURNAL.c.photo_id.in_(ids_at(under)),
                *is_under(JOURNAL.c.target_path, under),
            )
        )
    return sorted(path for (path,) in session.execute(chosen))


def undo_chain(session: Session, target_path: str) -> list[JournalRow]:
    """Return the changes of one file that were not undone, newest first."""
    rows = session.execute(
        select(JOURNAL)
        .where(JOURNAL.c.target_path == target_path, JOURNAL.c.state == "written")
        .order_by(JOURNAL.c.id.desc())
    )
    return [_entry(row) for row in rows]


def _entry(row: Row[Any]) -> JournalRow:
    return JournalRow(
        id=row.id,
        photo_id=row.photo_id,
        target_path=row.target_path,
        kind=row.kind,
        state=row.state,
        before_hash=row.before_hash,
        after_hash=row.after_hash,
        restore=row.restore_data or b"",
        origin_path=row.origin_path,
        stars_before=row.stars_before,
        stars_written=row.stars_written,
        intended_at=row.intended_at,
    )


def mark_undone(session: Session, entry_ids: Sequence[int], now: float) -> None:
    """Record that the file is as it was before these entries.

    The restore data is deleted. Their photos get no stars until `maclip rate`.
    """
    moment = timestamps.text(now)
    for entry_id in entry_ids:
        undone = session.execute(
            update(JOURNAL)
            .where(JOURNAL.c.id == entry_id, JOURNAL.c.state == "written")
            .values(state="undone", settled_at=moment, restore_data=None)
            .returning(JOURNAL.c.photo_id, JOURNAL.c.stars_before)
        ).first()
        if undone is not None and undone.photo_id is not None:
            values = {
                "rating_in_file": undone.stars_before,
                "rating_owner": "none",
                "stars_written": None,
                "rating_undone_at": moment,
                "may_replace": None,
            }
            session.execute(update(PHOTOS).where(PHOTOS.c.id == undone.photo_id).values(**values))
            session.execute(delete(JOBS).filter_by(photo_id=undone.photo_id, kind="rate"))


def forget_writes(session: Session, entry_ids: Sequence[int], now: float) -> None:
    """Record that nothing is left of these writes, nor anything to undo: their file went with its photo."""
    gone = {"state": "abandoned", "settled_at": timestamps.text(now), "restore_data": None}
    session.execute(update(JOURNAL).where(JOURNAL.c.id.in_(entry_ids)).values(**gone))


_NEWER = JOURNAL.alias("newer")
_NEWEST_ENTRY = (
    select(func.max(_NEWER.c.id))
    .where(_NEWER.c.photo_id == JOURNAL.c.photo_id, _NEWER.c.state == "written")
    .correlate(JOURNAL)
    .scalar_subquery()
)


@dataclass(frozen=True)
class WrittenFile:
    """The last write to a photo's rating file that was not undone."""

    photo_id: int
    path: str
    photo_path: str
    checked_at: float
    """Unix seconds of the write, or of the last check that found the file as we wrote it."""


def last_writes(session: Session, after: int, limit: int) -> list[WrittenFile]:
    """Return the last writes of photos with ids above `after` whose rating is maclip's, by id."""
    rows = session.execute(_LAST_WRITES, {"after": after, "limit": limit})
    return [_written_file(row) for row in rows]


def last_writes_to(session: Session, target_paths: Sequence[str]) -> list[WrittenFile]:
    """Return the last writes of photos whose rating is maclip's and is in one of these files."""
    rows = session.execute(_LAST_WRITE.where(JOURNAL.c.target_path.in_(target_paths)))
    return [_written_file(row) for row in rows]


def _written_file(row: Any) -> WrittenFile:
    photo = stored_paths.join(row.path, row.file_name)
    checked_at = max(filter(None, (row.settled_at, row.rating_checked_at)))
    return WrittenFile(row.photo_id, row.target_path, photo, timestamps.seconds(checked_at))


_LAST_WRITE = (
    select(
        JOURNAL.c.photo_id,
        JOURNAL.c.target_path,
        JOURNAL.c.settled_at,
        PHOTOS.c.rating_checked_at,
        FOLDERS.c.path,
        PHOTOS.c.file_name,
    )
    .join(PHOTOS, PHOTOS.c.id == JOURNAL.c.photo_id)
    .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
    .where(JOURNAL.c.id == _NEWEST_ENTRY, PHOTOS.c.rating_owner == "maclip", PHOTOS.c.state != "missing")
)
_LAST_WRITES = (
    _LAST_WRITE.where(JOURNAL.c.photo_id > bindparam("after"))
    .order_by(JOURNAL.c.photo_id)
    .limit(bindparam("limit"))
)


def ratings_written(session: Session, photo_ids: Sequence[int]) -> dict[int, set[int]]:
    """Return every rating that maclip wrote for these photos, undone ones included.

    With the ratings that it replaced: darktable's first star, because the person said so.
    """
    written: dict[int, set[int]] = {}
    for photo_id, stars, replaced in session.execute(_RATINGS_WRITTEN, {"photo_ids": list(photo_ids)}):
        written.setdefault(photo_id, set()).update({stars, replaced} - {None})
    return written


_RATINGS_WRITTEN = (
    select(
        JOURNAL.c.photo_id,
        JOURNAL.c.stars_written,
        case((JOURNAL.c.state == "written", JOURNAL.c.stars_before)),
    )
    .where(
        JOURNAL.c.photo_id.in_(bindparam("photo_ids", expanding=True)),
        JOURNAL.c.state != "abandoned",
        JOURNAL.c.stars_written.is_not(None),
    )
    .distinct()
)


def hashes_written(session: Session, target_paths: Sequence[str]) -> dict[str, str]:
    """Return the hashes of the last writes to these files, unconfirmed ones included."""
    rows = session.execute(
        select(JOURNAL.c.target_path, JOURNAL.c.after_hash)
        .where(JOURNAL.c.target_path.in_(target_paths), JOURNAL.c.state.in_(("intended", "written")))
        .order_by(JOURNAL.c.id)
    )
    return {path: after_hash for path, after_hash in rows}
