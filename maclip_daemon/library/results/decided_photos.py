"""What a decision needs to know of its photo."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from maclip_daemon.library.storage import stored_paths
from maclip_daemon.library.storage.tables import FOLDERS, PHOTOS


@dataclass(frozen=True)
class DecidedPhoto:
    """A photo that a person decides about."""

    photo_id: int
    path: str
    stars_written: int | None
    """The rating that maclip last wrote and did not undo."""


def decided_photo(session: Session, photo_id: int) -> DecidedPhoto | None:
    """Return a photo; None when the library has forgotten it."""
    row = session.execute(_PHOTO, {"key": photo_id}).first()
    if row is None:
        return None
    return DecidedPhoto(row.id, stored_paths.join(row.path, row.file_name), row.stars_written)


_PHOTO = (
    select(PHOTOS.c.id, FOLDERS.c.path, PHOTOS.c.file_name, PHOTOS.c.stars_written)
    .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
    .where(PHOTOS.c.id == bindparam("key"))
)
