"""Paths of photos: their folders, their names, and everything below a folder, always by index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import (
    ColumnElement,
    LargeBinary,
    Row,
    Select,
    Text,
    and_,
    bindparam,
    insert,
    literal,
    or_,
    select,
)
from sqlalchemy.orm import Session

from maclip_daemon.files.signature import HasSignature
from maclip_daemon.library.storage import stored_paths
from maclip_daemon.library.storage.tables import FOLDERS, PHOTOS

PhotoState = Literal["waiting", "scored", "failed", "missing"]


@dataclass(frozen=True)
class KnownFile:
    """What the library recorded of a file: enough to see that nothing changed."""

    photo_id: int
    state: PhotoState
    size: int
    mtime_ns: int
    inode: int
    device: int
    ctime_ns: int | None

    def is_same(self, found: HasSignature) -> bool:
        """Return whether a file has the recorded signature; field by field, for the millions of a scan."""
        return (
            self.mtime_ns == found.mtime_ns
            and self.size == found.size
            and self.inode == found.inode
            and self.device == found.device
            and self.ctime_ns == found.ctime_ns
        )


def known_in_folder(session: Session, folder: str) -> dict[str, KnownFile]:
    """Return the recorded files directly in `folder`, by file name, missing ones included."""
    rows = session.execute(_KNOWN, {"folder": stored_paths.without_trailing_slash(folder)})
    return {name: KnownFile(*rest) for name, *rest in rows}


_KNOWN = (
    select(
        PHOTOS.c.file_name,
        PHOTOS.c.id,
        PHOTOS.c.state,
        PHOTOS.c.size,
        PHOTOS.c.mtime_ns,
        PHOTOS.c.inode,
        PHOTOS.c.device,
        PHOTOS.c.ctime_ns,
    )
    .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
    .where(FOLDERS.c.path == bindparam("folder"))
)


def folders_under(session: Session, folder: str) -> list[str]:
    """Return `folder` and the folders below it that have photos, in path order."""
    rows = session.execute(select(FOLDERS.c.path).where(folder_is_under(folder)))
    return sorted(path for (path,) in rows)


def folder_is_under(folder: str) -> ColumnElement[bool]:
    """Return the condition that `folders.path` is `folder` or below it, in index ranges."""
    place = stored_paths.without_trailing_slash(folder)
    return or_(FOLDERS.c.path == place, *is_under(FOLDERS.c.path, place))


def is_under(column: ColumnElement[str], folder: str) -> list[ColumnElement[bool]]:
    """Return the conditions for a path below `folder`; one of them must hold."""
    return [
        and_(column >= _exactly(first), column < _exactly(end))
        for first, end in stored_paths.ranges_under(folder)
    ]


def _exactly(value: stored_paths.StoredPath) -> ColumnElement[str]:
    """Return the value as it is: a BLOB may hold valid UTF-8 too."""
    return literal(value, LargeBinary() if isinstance(value, bytes) else Text())


def ids_at(path: str) -> Select[int]:
    """Return the query for the ids of the photos below the folder `path`, or of the photo `path` itself."""
    folder, name = stored_paths.split(path)
    itself = and_(FOLDERS.c.path == folder, PHOTOS.c.file_name == name)
    within_folders = select(FOLDERS.c.id).where(folder_is_under(path))
    return (
        select(PHOTOS.c.id)
        .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
        .where(or_(PHOTOS.c.folder_id.in_(within_folders), itself))
    )


def present_under(session: Session, folder: str) -> list[int]:
    """Return the ids of the photos below `folder` that are not missing."""
    found = session.execute(ids_at(folder).where(PHOTOS.c.state != "missing"))
    return [photo_id for (photo_id,) in found]


def find_photo(session: Session, path: str) -> int | None:
    """Return the id of the photo at `path`."""
    row = photo_at(session, *stored_paths.split(path))
    return None if row is None else row.id


def path_of(session: Session, photo_id: int) -> str | None:
    """Return the path of a photo."""
    row = session.execute(
        select(FOLDERS.c.path, PHOTOS.c.file_name)
        .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
        .where(PHOTOS.c.id == photo_id)
    ).first()
    return None if row is None else stored_paths.join(row.path, row.file_name)


@dataclass(frozen=True)
class FileLocation:
    """The path and device of a photo file."""

    path: str
    device: int
    """`st_dev`, as last seen."""


def locations_of(session: Session, photo_ids: Sequence[int]) -> dict[int, FileLocation]:
    """Return paths and devices of photos (a few thousand at most), by id."""
    chosen = (
        select(PHOTOS.c.id, FOLDERS.c.path, PHOTOS.c.file_name, PHOTOS.c.device)
        .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
        .where(PHOTOS.c.id.in_(photo_ids))
    )
    rows = session.execute(chosen)
    return {id_: FileLocation(stored_paths.join(folder, name), device) for id_, folder, name, device in rows}


_AT = (
    select(
        PHOTOS.c.id,
        PHOTOS.c.state,
        PHOTOS.c.size,
        PHOTOS.c.mtime_ns,
        PHOTOS.c.inode,
        PHOTOS.c.device,
        PHOTOS.c.ctime_ns,
    )
    .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
    .where(FOLDERS.c.path == bindparam("folder"), PHOTOS.c.file_name == bindparam("name"))
)


def photo_at(
    session: Session, folder: str, name: str
) -> Row[int, str, int, int, int, int, int | None] | None:
    """Return id, state and the signature of the photo with this folder and name."""
    return session.execute(_AT, {"folder": folder, "name": name}).first()


def folder_for(session: Session, root_id: int, folder: str) -> int:
    """Return the id of a folder, which is added when it is new."""
    found = session.execute(_FOLDER, {"folder": folder}).scalar()
    if found is not None:
        return int(found)
    added = insert(FOLDERS).values(path=folder, root_id=root_id).returning(FOLDERS.c.id)
    return int(session.execute(added).scalar_one())


_FOLDER = select(FOLDERS.c.id).where(FOLDERS.c.path == bindparam("folder"))
