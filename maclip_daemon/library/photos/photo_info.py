"""What decoding finds of a photo: its size, its date, and by what its picture is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.orm import Session

from maclip_daemon.library.storage.tables import PHOTOS, SCORES


@dataclass(frozen=True)
class PhotoInfo:
    """What decoding found of one photo."""

    width: int
    """Pixels of the upright photo."""
    height: int
    taken_at: datetime | None
    """Without a time zone it is the camera's local time, and stays so."""
    pixel_hash: str
    former_hash: str | None = None
    """What earlier versions had for `pixel_hash`."""


def set_photo_info_of_all(session: Session, found: Mapping[int, PhotoInfo]) -> set[int]:
    """Remember what decoding found of photos (some thousands at most), by their numbers.

    Gives those whose pixels are new, or others than before; old scores of others were dropped.
    """
    if not found:
        return set()
    before: dict[int, str | None] = {
        number: pixel_hash for number, pixel_hash in session.execute(_HASHES, {"numbers": list(found)})
    }
    session.execute(_FACTS, [_row(number, facts) for number, facts in found.items()])
    other = [
        number
        for number, facts in found.items()
        if before.get(number) not in (None, facts.pixel_hash, facts.former_hash)
    ]
    if other:
        session.execute(delete(SCORES).where(SCORES.c.photo_id.in_(other)))
    return {*other, *(number for number in found if before.get(number) is None)}


def set_photo_info(
    session: Session,
    photo_id: int,
    *,
    width: int,
    height: int,
    taken_at: datetime | None,
    pixel_hash: str,
    former_hash: str | None = None,
) -> bool:
    """Remember what decoding found of one photo; True: its pixels are new, or others than before."""
    return bool(
        set_photo_info_of_all(
            session, {photo_id: PhotoInfo(width, height, taken_at, pixel_hash, former_hash)}
        )
    )


def pixel_hash_of(session: Session, photo_id: int) -> str | None:
    """Give the hash of a photo's picture, or None before it was first decoded."""
    found: str | None = session.execute(_PIXEL_HASH, {"key": photo_id}).scalar()
    return found


def _row(number: int, facts: PhotoInfo) -> dict[str, object]:
    taken_at = facts.taken_at
    return {
        "key": number,
        "width": facts.width,
        "height": facts.height,
        "taken_at": None if taken_at is None else taken_at.isoformat(timespec="seconds"),
        "pixel_hash": facts.pixel_hash,
    }


_HASHES = select(PHOTOS.c.id, PHOTOS.c.pixel_hash).where(
    PHOTOS.c.id.in_(bindparam("numbers", expanding=True))
)
_PIXEL_HASH = select(PHOTOS.c.pixel_hash).where(PHOTOS.c.id == bindparam("key"))
_FACTS = (
    update(PHOTOS)
    .where(PHOTOS.c.id == bindparam("key"))
    .values({name: bindparam(name) for name in ("width", "height", "taken_at", "pixel_hash")})
)
