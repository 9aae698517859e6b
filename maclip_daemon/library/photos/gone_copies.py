"""Photos that were copied with their sidecars and deleted at their old place later: a move between disks.

The copy has the whole journal already, so the original needs none any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.orm import Session

from maclip_daemon.library.photos import burst_frames, missing_photos
from maclip_daemon.library.photos.renames import move_targets
from maclip_daemon.library.queue import jobs
from maclip_daemon.library.results import decision_moves
from maclip_daemon.library.storage import stored_paths
from maclip_daemon.library.storage.photo_paths import path_of
from maclip_daemon.library.storage.tables import FOLDERS, JOURNAL, PHOTOS


@dataclass(frozen=True)
class GoneOriginal:
    """A missing photo of which a present copy has the whole journal."""

    photo_id: int
    path: str
    device: int
    copy_id: int


def mark_gone(session: Session, photo_ids: Iterable[int], now: float) -> int:
    """Mark photos as missing that are not only on an offline disk; return how many were not missing before.

    Their copies are checked soon: they may be what the photos have become.
    """
    gone = list(photo_ids)
    count = missing_photos.mark_missing(session, gone, now)
    remaining = iter(gone)
    while part := list(islice(remaining, missing_photos.BATCH)):
        copies = session.execute(_COPIES, {"gone": part}).scalars().all()
        jobs.enqueue(session, copies, "rate", now)
    return count


def gone_originals(session: Session, photo_ids: list[int]) -> list[GoneOriginal]:
    """Return the missing photos of the same name and pixels whose journal these photos have."""
    rows = session.execute(_ORIGINALS, {"copies": photo_ids})
    return [
        GoneOriginal(row.id, stored_paths.join(row.path, row.file_name), row.device, row.copy_id)
        for row in rows
    ]


def forget(session: Session, original: GoneOriginal) -> None:
    """Forget a photo that is gone, and its journal: its copy stands for it, and has its decisions."""
    decision_moves.move(session, original.photo_id, original.copy_id)
    copied_to = path_of(session, original.copy_id)
    assert copied_to is not None
    move_targets(session, original.copy_id, original.path, copied_to)
    picked = select(PHOTOS.c.id).where(PHOTOS.c.id == original.photo_id, PHOTOS.c.is_picked)
    is_copy = (PHOTOS.c.id == original.copy_id) & picked.exists()
    session.execute(update(PHOTOS).where(is_copy).values(is_picked=True))
    session.execute(delete(JOURNAL).where(JOURNAL.c.photo_id == original.photo_id))
    burst_frames.forget(session, [original.photo_id])
    session.execute(delete(PHOTOS).where(PHOTOS.c.id == original.photo_id))


_MISSING = PHOTOS.alias("missing")
_THEIRS = JOURNAL.alias("theirs")
_OURS = JOURNAL.alias("ours")
_SAME = (
    (PHOTOS.c.pixel_hash == _MISSING.c.pixel_hash)
    & PHOTOS.c.pixel_hash.is_not(None)
    & (PHOTOS.c.file_name == _MISSING.c.file_name)
    & (PHOTOS.c.id != _MISSING.c.id)
    & (PHOTOS.c.state != "missing")
)
_COPIES = (
    select(PHOTOS.c.id)
    .select_from(_MISSING)
    .join(PHOTOS, _SAME)
    .where(
        _MISSING.c.id.in_(bindparam("gone", expanding=True)),
        PHOTOS.c.rating_undone_at.is_(None),
        select(JOURNAL.c.id).where(JOURNAL.c.photo_id == _MISSING.c.id).exists(),
    )
    .distinct()
)
_HAS_IT = (
    select(_OURS.c.id)
    .where(_OURS.c.photo_id == PHOTOS.c.id, _OURS.c.after_hash == _THEIRS.c.after_hash)
    .correlate(PHOTOS, _THEIRS)
    .exists()
)
_WRITTEN = (_THEIRS.c.photo_id == _MISSING.c.id) & (_THEIRS.c.state == "written")
_ORIGINALS = (
    select(
        _MISSING.c.id,
        _MISSING.c.device,
        FOLDERS.c.path,
        _MISSING.c.file_name,
        func.min(PHOTOS.c.id).label("copy_id"),
    )
    .select_from(PHOTOS)
    .join(_MISSING, _SAME)
    .join(FOLDERS, FOLDERS.c.id == _MISSING.c.folder_id)
    .where(
        PHOTOS.c.id.in_(bindparam("copies", expanding=True)),
        _MISSING.c.state == "missing",
        select(_THEIRS.c.id).where(_WRITTEN).correlate(_MISSING).exists(),
        ~select(_THEIRS.c.id).where(_WRITTEN, ~_HAS_IT).correlate(PHOTOS, _MISSING).exists(),
    )
    .group_by(_MISSING.c.id)
)
