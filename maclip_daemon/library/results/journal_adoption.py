"""Files that hold a write of a maclip which this journal has not: of another library, or of a lost one.

Their entry is made afterwards, so that `maclip undo` knows them. Where the journal has a write of the same
bytes elsewhere (a copy, a disk that is offline), its entries are copied: they restore every byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import delete, insert, literal, select, update
from sqlalchemy.orm import Session

from maclip_daemon.library.results.rating_journal import TargetKind
from maclip_daemon.library.storage import timestamps
from maclip_daemon.library.storage.column_types import PathText
from maclip_daemon.library.storage.tables import JOURNAL, PHOTOS

UNKNOWN = ""  # the library of an adopted file that does not name one


@dataclass(frozen=True)
class FoundWrite:
    """A rating file that holds a write of a maclip."""

    photo_id: int
    target_path: str
    kind: TargetKind
    content_hash: str
    """Of the file as it is."""
    stars: int
    restore: bytes
    """How to take maclip's part out, in a format of `metadata`."""
    library_id: str | None
    """Of the library that wrote it; None where the file does not name it."""


def written_hashes(session: Session, target_paths: Sequence[str]) -> dict[str, set[str]]:
    """Return the contents that our writes, not undone, gave to these files, by path."""
    rows = session.execute(
        select(JOURNAL.c.target_path, JOURNAL.c.after_hash).where(
            JOURNAL.c.target_path.in_(target_paths), JOURNAL.c.state == "written"
        )
    )
    found: dict[str, set[str]] = {}
    for path, after_hash in rows:
        found.setdefault(path, set()).add(after_hash)
    return found


def adopt(session: Session, found: FoundWrite, now: float) -> Literal["known", "copied", "adopted"]:
    """Make sure that the journal has an entry for a file as it is; return what that took."""
    known = written_hashes(session, [found.target_path]).get(found.target_path, set())
    if found.content_hash in known:
        return "known"
    _drop_if_all_adopted(session, found.target_path)
    if _copy_equal(session, found, now):
        return "copied"
    session.execute(
        insert(JOURNAL).values(
            photo_id=found.photo_id,
            target_path=found.target_path,
            kind=found.kind,
            state="written",
            after_hash=found.content_hash,
            stars_written=found.stars,
            intended_at=timestamps.text(now),
            settled_at=timestamps.text(now),
            restore_data=found.restore,
            pixel_hash=_pixel_hash(found.photo_id),
            adopted_from=found.library_id or UNKNOWN,
        )
    )
    return "adopted"


def record_owner(session: Session, photo_id: int, stars: int) -> None:
    """Record that a photo's file holds these stars of ours."""
    values = {
        "rating_in_file": stars,
        "rating_owner": "maclip",
        "stars_written": stars,
        "rating_undone_at": None,
        "rating_problem": None,
        "other_library": None,
    }
    session.execute(update(PHOTOS).where(PHOTOS.c.id == photo_id).values(**values))


def record_other_library(session: Session, photo_id: int, stars: int, library_id: str) -> None:
    """Record that another library, which is in use too, rewrote the stars of a photo."""
    values = {
        "rating_in_file": stars,
        "rating_owner": "maclip",
        "rating_problem": None,
        "other_library": library_id,
    }
    session.execute(update(PHOTOS).where(PHOTOS.c.id == photo_id).values(**values))


def _drop_if_all_adopted(session: Session, target_path: str) -> None:
    """Forget what was adopted of this file: the new entry stands for all of it."""
    entries = (JOURNAL.c.target_path == target_path) & (JOURNAL.c.state == "written")
    own = session.execute(select(JOURNAL.c.id).where(entries, JOURNAL.c.adopted_from.is_(None)).limit(1))
    if own.first() is None:
        session.execute(delete(JOURNAL).where(entries))


def _copy_equal(session: Session, found: FoundWrite, now: float) -> bool:
    """Copy the entries of another file with the same bytes, if there is one; they fit this file too."""
    equal = session.execute(
        select(JOURNAL.c.id, JOURNAL.c.target_path)
        .where(
            JOURNAL.c.after_hash == found.content_hash,
            JOURNAL.c.kind == found.kind,
            JOURNAL.c.state == "written",
            JOURNAL.c.adopted_from.is_(None),
        )
        .order_by(JOURNAL.c.id.desc())
        .limit(1)
    ).first()
    if equal is None:
        return False
    chain = (
        select(
            literal(found.photo_id),
            literal(found.target_path, PathText()),
            literal(timestamps.text(now)),
            literal(timestamps.text(now)),
            _pixel_hash(found.photo_id),
            *(JOURNAL.c[name] for name in _SAME),
        )
        .where(
            JOURNAL.c.target_path == equal.target_path,
            JOURNAL.c.state == "written",
            JOURNAL.c.id <= equal.id,
        )
        .order_by(JOURNAL.c.id)
    )
    columns = ["photo_id", "target_path", "intended_at", "settled_at", "pixel_hash", *_SAME]
    session.execute(insert(JOURNAL).from_select(columns, chain, include_defaults=False))
    return True


_SAME = (
    "kind",
    "state",
    "before_hash",
    "after_hash",
    "stars_before",
    "stars_written",
    "former_stars",
    "restore_data",
)


def _pixel_hash(photo_id: int):  # type: ignore[no-untyped-def]
    return select(PHOTOS.c.pixel_hash).where(PHOTOS.c.id == photo_id).scalar_subquery()
