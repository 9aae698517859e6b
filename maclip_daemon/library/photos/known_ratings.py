"""What the library knows of the ratings of present photos, for a check against their files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from maclip_daemon.library.storage import stored_paths
from maclip_daemon.library.storage.photo_paths import ids_at
from maclip_daemon.library.storage.tables import FOLDERS, PHOTOS


@dataclass(frozen=True)
class KnownRating:
    """A photo that is present, and what was last written to it."""

    photo_id: int
    path: str
    pixel_hash: str | None
    stars_written: int | None


def present_photos(session: Session, under: Sequence[str]) -> list[int]:
    """Return the ids of the photos that are not missing, all or at and below the given paths."""
    chosen = select(PHOTOS.c.id).where(PHOTOS.c.state != "missing").order_by(PHOTOS.c.id)
    if not under:
        return list(session.execute(chosen).scalars())
    found = {number for path in under for number in session.execute(ids_at(path)).scalars()}
    return [number for number in session.execute(chosen).scalars() if number in found]


def known_ratings(session: Session, photo_ids: Sequence[int]) -> list[KnownRating]:
    """Return what is known of these photos (some thousands at most), in path order."""
    rows = session.execute(
        select(PHOTOS.c.id, FOLDERS.c.path, PHOTOS.c.file_name, PHOTOS.c.pixel_hash, PHOTOS.c.stars_written)
        .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
        .where(PHOTOS.c.id.in_(photo_ids))
    )
    found = [
        KnownRating(row.id, stored_paths.join(row.path, row.file_name), row.pixel_hash, row.stars_written)
        for row in rows
    ]
    return sorted(found, key=lambda each: each.path)
