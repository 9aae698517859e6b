"""The journal of every change to a metadata file.

`intend` is committed before the file is replaced, `confirm` after. After a kill, `unconfirmed` returns the
entries between, and the hash of the file tells what happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, bindparam, delete, insert, or_, select, update
from sqlalchemy.orm import Session

from maclip_daemon.library.results import hold_order
from maclip_daemon.library.results.ended_entries import join_ended
from maclip_daemon.library.storage import timestamps
from maclip_daemon.library.storage.photo_paths import ids_at, is_under
from maclip_daemon.library.storage.tables import JOBS, JOURNAL, PHOTOS

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
    former_stars: int
    """The ratings of earlier writes that this entry stands for, as `bit_of` has them."""
    intended_at: str


def intend(
    session: Session,
    photo_id: int | None,
    target_path: str,
    kind: TargetKind,
    *,
    before_hash: str | None,
    after_hash: str,
    restore: bytes,
    stars_before: int | None,
    stars_written: int | None,
    now: float,
    pixel_hash: str | None = None,
) -> int:
    """Record a change that is about to be made; return the entry's id. Commit before touching the file.

    `pixel_hash`: that of a photo which the library does not know; others are looked up.
    """
    known = select(PHOTOS.c.pixel_hash).where(PHOTOS.c.id == photo_id).scalar_subquery()
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
        pixel_hash=pixel_hash if photo_id is None else known,
    )
    return int(session.execute(added.returning(JOURNAL.c.id)).scalar_one())


def confirm(session: Session, entry_id: int, now: float) -> str | None:
    """Record that the file was replaced: the entry is `written`, and the rating in the file is maclip's.

    Another process may have looked a moment before, found the file as it was, and abandoned the entry.
    Return the file where earlier writes to it may be joined with this one.
    """
    settled = session.execute(
        _SETTLE.where(JOURNAL.c.state.in_(("intended", "abandoned"))).returning(
            JOURNAL.c.photo_id, JOURNAL.c.stars_written, JOURNAL.c.before_hash, JOURNAL.c.target_path
        ),
        {"key": entry_id, "becomes": "written", "moment": timestamps.text(now)},
    ).first()
    if settled is not None and settled.before_hash is None:
        # Another program had deleted the file: nothing is left that the entries before could restore.
        earlier = {"entry": entry_id, "path": settled.target_path, "moment": timestamps.text(now)}
        session.execute(_SUPERSEDE, earlier)
        join_ended(session, settled.target_path)
    if settled is None:
        return None
    had_file = settled.before_hash is not None
    if settled.photo_id is None:
        return settled.target_path if had_file else None
    values: dict[str, object] = {
        # Not `rating_undone_at`: `maclip undo` may have come after this write was intended.
        "stars_written": settled.stars_written,
        "rating_problem": None,
        "other_library": None,
        "may_replace": None,
    }
    if settled.stars_written is not None:
        values |= {"rating_in_file": settled.stars_written, "rating_owner": "maclip"}
    session.execute(update(PHOTOS).where(PHOTOS.c.id == settled.photo_id).values(**values))
    return settled.target_path if had_file else None


def abandon(session: Session, entry_id: int, now: float) -> None:
    """Record that the file was left as it was."""
    settled = session.execute(
        _SETTLE.where(JOURNAL.c.state == "intended").returning(JOURNAL.c.target_path),
        {"key": entry_id, "becomes": "abandoned", "moment": timestamps.text(now)},
    ).first()
    if settled is not None:
        join_ended(session, settled.target_path)


_SETTLE = (
    update(JOURNAL)
    .where(JOURNAL.c.id == bindparam("key"))
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
    """Return the files with changes that were not undone, or that are about to be made.

    `under`: only that file, the files below that folder, and those of the photo at that path.
    """
    return _targets(session, is_open(), under)


def is_being_written(session: Session, since: float, under: str | None = None) -> bool:
    """Return whether a change that was intended since then is neither confirmed nor abandoned.

    `under` as in `undo_targets`.
    """
    unsettled = (JOURNAL.c.state == "intended") & (JOURNAL.c.intended_at >= timestamps.text(since))
    return bool(_targets(session, unsettled, under))


def _targets(session: Session, state: ColumnElement[bool], under: str | None) -> list[str]:
    chosen = select(JOURNAL.c.target_path).where(state).distinct()
    if under is not None:
        chosen = chosen.where(or_(is_at(under), JOURNAL.c.photo_id.in_(ids_at(under))))
    return sorted(path for (path,) in session.execute(chosen))


def is_open() -> ColumnElement[bool]:
    """Return the condition for an entry that undo must deal with: written, or about to be."""
    return JOURNAL.c.state.in_(("intended", "written"))


def is_at(path: str) -> ColumnElement[bool]:
    """Return the condition for an entry of the file at `path`, or of a file below that folder."""
    return or_(JOURNAL.c.target_path == path, *is_under(JOURNAL.c.target_path, path))


def undo_chain(session: Session, target_path: str) -> list[JournalRow]:
    """Return the changes of one file that were not undone, newest first."""
    return [_entry(row) for row in session.execute(_CHAIN, {"path": target_path})]


_CHAIN = (
    select(JOURNAL)
    .where(JOURNAL.c.target_path == bindparam("path"), JOURNAL.c.state == "written")
    .order_by(JOURNAL.c.id.desc())
)


def unfinished_write(session: Session, target_path: str) -> JournalRow | None:
    """Return the change of a file that is neither confirmed nor abandoned, if there is one."""
    rows = session.execute(
        select(JOURNAL).where(JOURNAL.c.target_path == target_path, JOURNAL.c.state == "intended").limit(1)
    )
    return next((_entry(row) for row in rows), None)


def replace_chain(session: Session, chain: Sequence[JournalRow], kept: Sequence[JournalRow]) -> None:
    """Replace the changes of a file by fewer, some of them changed, that lead to the same bytes."""
    known = {entry.id: entry for entry in chain}
    session.execute(_DROP, {"ids": list(known.keys() - {entry.id for entry in kept})})
    for entry in kept:
        if entry != known[entry.id]:
            values = {
                "key": entry.id,
                "before": entry.before_hash,
                "restore": entry.restore,
                "stars": entry.stars_before,
                "former": entry.former_stars or None,
            }
            session.execute(_CHANGE, values)


_DROP = delete(JOURNAL).where(JOURNAL.c.id.in_(bindparam("ids", expanding=True)))
_CHANGE = (
    update(JOURNAL)
    .where(JOURNAL.c.id == bindparam("key"))
    .values(
        before_hash=bindparam("before"),
        restore_data=bindparam("restore"),
        stars_before=bindparam("stars"),
        former_stars=bindparam("former"),
    )
)


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
        former_stars=row.former_stars or 0,
        intended_at=row.intended_at,
    )


def mark_undone(session: Session, entry_ids: Sequence[int], now: float) -> None:
    """Record that the file is as it was before these entries.

    The restore data is deleted. Their photos get no stars until `maclip rate`.
    """
    moment = hold_order.undo_moment(session, now)
    targets: set[str] = set()
    for entry_id in entry_ids:
        undone = session.execute(
            update(JOURNAL)
            .where(JOURNAL.c.id == entry_id, JOURNAL.c.state == "written")
            .values(state="undone", settled_at=moment, restore_data=None)
            .returning(JOURNAL.c.photo_id, JOURNAL.c.stars_before, JOURNAL.c.target_path)
        ).first()
        if undone is not None:
            targets.add(undone.target_path)
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
    for target in targets:
        join_ended(session, target)


def forget_writes(session: Session, entry_ids: Sequence[int], now: float) -> None:
    """Record that nothing is left of these writes, nor anything to undo: their file went with its photo."""
    gone = {"state": "abandoned", "settled_at": timestamps.text(now), "restore_data": None}
    session.execute(update(JOURNAL).where(JOURNAL.c.id.in_(entry_ids)).values(**gone))
