"""What decoding found of a photo: size, date, and the hash of its pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.orm import Session

from maclip_daemon.library.storage.tables import JOURNAL, PHOTOS, SCORES


@dataclass(frozen=True)
class PhotoInfo:
    """What decoding found of one photo."""

    width: int
    """Pixels of the upright photo."""
    height: int
    taken_at: datetime | None
    """Without a time zone: the camera's local time."""
    pixel_hash: str
    former_hash: str | None = None
    """`pixel_hash` as earlier versions computed it."""
    camera: str | None = None
    lens: str | None = None


def set_photo_info(session: Session, found: Mapping[int, PhotoInfo]) -> set[int]:
    """Record what decoding found of photos (some thousands at most), by id.

    Return the ids whose pixels are new or changed; the old scores of changed ones are deleted.
    """
    if not found:
        return set()
    before: dict[int, str | None] = {
        number: pixel_hash for number, pixel_hash in session.execute(_HASHES, {"numbers": list(found)})
    }
    session.execute(_UPDATE, [_row(number, info) for number, info in found.items()])
    other = [
        number
        for number, info in found.items()
        if before.get(number) not in (None, info.pixel_hash, info.former_hash)
    ]
    if other:
        session.execute(delete(SCORES).where(SCORES.c.photo_id.in_(other)))
    changed = [
        {"key": number, "pixel_hash": info.pixel_hash}
        for number, info in found.items()
        if before.get(number) not in (None, info.pixel_hash)
    ]
    if changed:  # the journal is found by the pixels of its photo after a purge
        session.execute(_JOURNAL_FOLLOWS, changed)
    return {*other, *(number for number in found if before.get(number) is None)}


def pixel_hash_of(session: Session, photo_id: int) -> str | None:
    """Return the hash of a photo's pixels; None before it was first decoded."""
    found: str | None = session.execute(_PIXEL_HASH, {"key": photo_id}).scalar()
    return found


def _row(number: int, info: PhotoInfo) -> dict[str, object]:
    taken_at = info.taken_at
    return {
        "key": number,
        "width": info.width,
        "height": info.height,
        "taken_at": None if taken_at is None else taken_at.isoformat(timespec="seconds"),
        "pixel_hash": info.pixel_hash,
        "camera": info.camera,
        "lens": info.lens,
    }


_COLUMNS = ("width", "height", "taken_at", "pixel_hash", "camera", "lens")
_HASHES = select(PHOTOS.c.id, PHOTOS.c.pixel_hash).where(
    PHOTOS.c.id.in_(bindparam("numbers", expanding=True))
)
_PIXEL_HASH = select(PHOTOS.c.pixel_hash).where(PHOTOS.c.id == bindparam("key"))
_JOURNAL_FOLLOWS = (
    update(JOURNAL).where(JOURNAL.c.photo_id == bindparam("key")).values(pixel_hash=bindparam("pixel_hash"))
)
_UPDATE = (
    update(PHOTOS)
    .where(PHOTOS.c.id == bindparam("key"))
    .values(
        {name: bindparam(name) for name in ("width", "height", "taken_at", "pixel_hash", "camera", "lens")}
    )
)
