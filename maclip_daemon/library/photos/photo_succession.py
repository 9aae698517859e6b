"""Journal, stars and undo follow a photo by its pixels: to another disk, and back after `maclip purge`.

A new photo with the pixels of one that is gone succeeds it. Where several that are gone could be meant, none
is taken: then the proof in the file alone tells whose its stars are. The caller knows which files are gone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.orm import Session

from maclip_daemon.library.photos import burst_frames
from maclip_daemon.library.photos.renames import move_targets, rating_targets
from maclip_daemon.library.results import decision_moves, hold_order
from maclip_daemon.library.storage import stored_paths
from maclip_daemon.library.storage.tables import FOLDERS, JOURNAL, PHOTOS


@dataclass(frozen=True)
class Successor:
    """A photo that was never rated at its path, and whose pixels are known."""

    photo_id: int
    path: str
    pixel_hash: str
    identity: tuple[int, int, int]
    """inode, size and mtime_ns."""


@dataclass(frozen=True)
class FormerPhoto:
    """Another photo with the same pixels, or what the journal holds of one that was forgotten."""

    photo_id: int | None
    """None: it was forgotten, only its journal is left."""
    path: str
    device: int | None = None
    identity: tuple[int, int, int] | None = None
    """inode, size and mtime_ns."""


def successors(session: Session, photo_ids: Sequence[int]) -> list[Successor]:
    """Return those of these photos that nobody has rated yet, as far as the library knows."""
    rows = session.execute(_SUCCESSORS, {"ids": photo_ids})
    return [
        Successor(row.id, stored_paths.join(row.path, row.file_name), row.pixel_hash, _identity(row))
        for row in rows
    ]


def former_photos(session: Session, found: Sequence[Successor]) -> dict[int, list[FormerPhoto]]:
    """Return the other photos with the pixels of each successor, by its id, the forgotten ones too.

    A RAW may have the pixels of its JPEG, so only files of the same kind count.
    """
    by_hash: dict[str, list[Successor]] = {}
    for successor in found:
        by_hash.setdefault(successor.pixel_hash, []).append(successor)
    former: dict[int, list[FormerPhoto]] = {}
    hashes = {"hashes": list(by_hash)}
    for row in session.execute(_FORMER, hashes):
        known = FormerPhoto(row.id, stored_paths.join(row.path, row.file_name), row.device, _identity(row))
        for successor in by_hash[row.pixel_hash]:
            if successor.photo_id != row.id and _suffix(known.path) == _suffix(successor.path):
                former.setdefault(successor.photo_id, []).append(known)
    for pixels, target in session.execute(_FORGOTTEN, hashes):
        for successor in by_hash[pixels]:
            path = _photo_of(target, successor.path)
            forgotten = former.setdefault(successor.photo_id, [])
            if path is not None and FormerPhoto(None, path) not in forgotten:
                forgotten.append(FormerPhoto(None, path))
    return former


def choose(successor: Successor, former: Sequence[FormerPhoto]) -> FormerPhoto | None:
    """Return the one of these gone photos that the successor is; None: it cannot be told.

    The only one; else the one whose path agrees longest from its end, if the name does.
    """
    if len(former) == 1:
        return former[0]
    agreeing = sorted(former, key=lambda each: _common_end(each.path, successor.path), reverse=True)
    lengths = [_common_end(each.path, successor.path) for each in agreeing[:2]]
    return agreeing[0] if lengths and lengths[0] > lengths[1] else None


def without_rivals(chosen: Sequence[tuple[Successor, FormerPhoto]]) -> list[tuple[Successor, FormerPhoto]]:
    """Return each former photo with one successor: the one whose path agrees longest; none where two do."""
    by_former: dict[FormerPhoto, list[Successor]] = {}
    for successor, former in chosen:
        by_former.setdefault(former, []).append(successor)
    kept = []
    for former, rivals in by_former.items():
        lengths = [_common_end(each.path, former.path) for each in rivals]
        if len(rivals) == 1 or lengths.count(max(lengths)) == 1:
            kept.append((rivals[lengths.index(max(lengths))], former))
    return kept


def take_over(session: Session, successor: Successor, former: FormerPhoto) -> None:
    """Move journal, stars, decisions and undo of a photo that is gone to its successor.

    The former row is forgotten; its entries then name the sidecars beside the successor.
    """
    if former.photo_id is None:
        forgotten = JOURNAL.c.photo_id.is_(None) & (JOURNAL.c.pixel_hash == successor.pixel_hash)
        targets = JOURNAL.c.target_path.in_(rating_targets(former.path))
        session.execute(update(JOURNAL).where(forgotten, targets).values(photo_id=successor.photo_id))
    else:
        inherit_rating(session, successor, former)
        mine = JOURNAL.c.photo_id == former.photo_id
        session.execute(update(JOURNAL).where(mine).values(photo_id=successor.photo_id))
        decision_moves.move(session, former.photo_id, successor.photo_id)
        session.execute(_FIRST_SEEN, {"key": successor.photo_id, "former": former.photo_id})
        burst_frames.forget(session, [former.photo_id])
        session.execute(delete(PHOTOS).where(PHOTOS.c.id == former.photo_id))
    move_targets(session, successor.photo_id, former.path, successor.path)
    if former.photo_id is None:
        derive_rating(session, successor.photo_id)


def inherit_rating(session: Session, successor: Successor, former: FormerPhoto) -> None:
    """Let a photo keep what was decided where it was before. The journal stays with the former photo."""
    session.execute(_INHERIT, {"key": successor.photo_id, "former": former.photo_id})


def has_forgotten(session: Session) -> bool:
    """Return whether the journal has entries that no photo has."""
    return session.execute(_ANY_FORGOTTEN).first() is not None


def claim_forgotten(session: Session, photo_ids: Sequence[int]) -> None:
    """Let photos have the entries of their own rating files that no photo has: after a purge or a restore.

    Not those that are known to be of other pixels: the name was used again.
    """
    for row in session.execute(_PLACES, {"ids": photo_ids}).all():
        targets = rating_targets(stored_paths.join(row.path, row.file_name))
        found = session.execute(_FORGOTTEN_AT, {"targets": targets})
        claimed = [
            entry for entry, pixels in found if None in (pixels, row.pixel_hash) or pixels == row.pixel_hash
        ]
        if claimed:
            session.execute(update(JOURNAL).where(JOURNAL.c.id.in_(claimed)).values(photo_id=row.id))
            derive_rating(session, row.id)


def derive_rating(session: Session, photo_id: int) -> None:
    """Record what the journal says of a photo's rating: our last stars, or that they were undone."""
    entries = session.execute(
        select(JOURNAL.c.state, JOURNAL.c.stars_written, JOURNAL.c.settled_at)
        .where(JOURNAL.c.photo_id == photo_id, JOURNAL.c.state.in_(("written", "undone")))
        .order_by(JOURNAL.c.id.desc())
    ).all()
    written = next((entry for entry in entries if entry.state == "written"), None)
    values: dict[str, object] = {}
    if written is not None and written.stars_written is not None:
        values = {
            "stars_written": written.stars_written,
            "rating_in_file": written.stars_written,
            "rating_owner": "maclip",
        }
    elif written is None and entries:
        undone_at = max(entry.settled_at for entry in entries)
        if not hold_order.has_ended(session, undone_at):
            values = {"rating_undone_at": undone_at}
    if values:
        fresh = PHOTOS.c.stars_written.is_(None) & PHOTOS.c.rating_undone_at.is_(None)
        nobodys = PHOTOS.c.rating_owner != "person"
        session.execute(update(PHOTOS).where(PHOTOS.c.id == photo_id, fresh, nobodys).values(**values))


def _identity(row: object) -> tuple[int, int, int]:
    return (row.inode, row.size, row.mtime_ns)  # type: ignore[attr-defined]


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()  # noqa: PTH122 - the bytes of the name as they are


def _photo_of(target: str, like: str) -> str | None:
    """Return the path of the photo of a rating file, if it is of the same kind as the photo `like`."""
    if not target.lower().endswith(".xmp"):
        return target if _suffix(target) == _suffix(like) else None
    base = target[: -len(".xmp")]
    return base if _suffix(base) == _suffix(like) else base + os.path.splitext(like)[1]  # noqa: PTH122


def _common_end(one: str, other: str) -> int:
    """Return how many parts two paths have in common, from their ends."""
    count = 0
    for first, second in zip(reversed(Path(one).parts), reversed(Path(other).parts), strict=False):
        if first != second:
            break
        count += 1
    return count


_PLACES = (
    select(PHOTOS.c.id, PHOTOS.c.pixel_hash, FOLDERS.c.path, PHOTOS.c.file_name)
    .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
    .where(PHOTOS.c.id.in_(bindparam("ids", expanding=True)))
)
_SUCCESSORS = _PLACES.add_columns(PHOTOS.c.inode, PHOTOS.c.size, PHOTOS.c.mtime_ns).where(
    PHOTOS.c.pixel_hash.is_not(None),
    PHOTOS.c.rating_owner == "none",
    PHOTOS.c.stars_written.is_(None),
    PHOTOS.c.rating_undone_at.is_(None),
    ~select(JOURNAL.c.id).where(JOURNAL.c.photo_id == PHOTOS.c.id, JOURNAL.c.state != "abandoned").exists(),
)
_FORMER = (
    select(
        PHOTOS.c.id,
        PHOTOS.c.pixel_hash,
        PHOTOS.c.device,
        PHOTOS.c.inode,
        PHOTOS.c.size,
        PHOTOS.c.mtime_ns,
        FOLDERS.c.path,
        PHOTOS.c.file_name,
    )
    .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
    .where(PHOTOS.c.pixel_hash.in_(bindparam("hashes", expanding=True)), PHOTOS.c.pixel_hash.is_not(None))
)
_FORGOTTEN = (
    select(JOURNAL.c.pixel_hash, JOURNAL.c.target_path)
    .where(
        JOURNAL.c.pixel_hash.in_(bindparam("hashes", expanding=True)),
        JOURNAL.c.pixel_hash.is_not(None),
        JOURNAL.c.photo_id.is_(None),
        JOURNAL.c.state != "abandoned",
    )
    .distinct()
)
_ANY_FORGOTTEN = select(JOURNAL.c.id).where(JOURNAL.c.photo_id.is_(None)).limit(1)
_FORGOTTEN_AT = select(JOURNAL.c.id, JOURNAL.c.pixel_hash).where(
    JOURNAL.c.target_path.in_(bindparam("targets", expanding=True)), JOURNAL.c.photo_id.is_(None)
)
_INHERITED = (
    "rating_in_file",
    "rating_owner",
    "stars_written",
    "rating_undone_at",
    "may_replace",
    "is_picked",
)
_OLD = PHOTOS.alias("former")
_INHERIT = (
    update(PHOTOS)
    .where(PHOTOS.c.id == bindparam("key"))
    .values(
        {
            name: select(_OLD.c[name]).where(_OLD.c.id == bindparam("former")).scalar_subquery()
            for name in _INHERITED
        }
    )
)
_FIRST_SEEN = (
    update(PHOTOS)
    .where(PHOTOS.c.id == bindparam("key"))
    .values(
        first_seen_at=select(func.min(_OLD.c.first_seen_at))
        .where(_OLD.c.id.in_((bindparam("key"), bindparam("former"))))
        .scalar_subquery()
    )
)
