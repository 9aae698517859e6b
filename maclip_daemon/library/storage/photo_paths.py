"""Where photos are: folders, names, and everything below a folder, always by index."""

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

from maclip_daemon.files.signature import FileSignature
from maclip_daemon.library.storage import stored_paths
from maclip_daemon.library.storage.tables import FOLDERS, PHOTOS

PhotoState = Literal["waiting", "scored", "failed", "missing"]


@dataclass(frozen=True)
class KnownFile:
    """What the library remembers of a file: enough to see that nothing changed."""

    photo_id: int
    state: PhotoState
    size: int
    mtime_ns: int
    inode: int
    device: int

    @property
    def signature(self) -> FileSignature:
        """Return what differs once the file was changed or replaced."""
        return FileSignature(self.size, self.mtime_ns, self.inode, self.device)


def known_in_folder(session: Session, folder: str) -> dict[str, KnownFile]:
    """Give what is known of the files directly in `folder`, by file name, missing ones included."""
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
    )
    .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
    .where(FOLDERS.c.path == bindparam("folder"))
)


def folders_under(session: Session, folder: str) -> list[str]:
    """Give every known folder that is or lies below `folder`, in path order."""
    rows = session.execute(select(FOLDERS.c.path).where(folder_is_under(folder)))
    return sorted(path for (path,) in rows)


def folder_is_under(folder: str) -> ColumnElement[bool]:
    """Give the condition that `folders.path` is or lies below `folder`, in index ranges."""
    place = stored_paths.without_trailing_slash(folder)
    return or_(FOLDERS.c.path == place, *below(FOLDERS.c.path, place))


def below(column: ColumnElement[str], folder: str) -> list[ColumnElement[bool]]:
    """Give the conditions, either of which says that the path in `column` lies below `folder`."""
    return [
        and_(column >= _exactly(first), column < _exactly(end))
        for first, end in stored_paths.ranges_under(folder)
    ]


def _exactly(value: stored_paths.StoredPath) -> ColumnElement[str]:
    """Compare with this very value: the range of the BLOBs may be spelled in valid UTF-8 too."""
    return literal(value, LargeBinary() if isinstance(value, bytes) else Text())


def ids_at(path: str) -> Select[int]:
    """Give the query for the photos below the folder `path`, or for the photo `path` itself."""
    folder, name = stored_paths.split(path)
    itself = and_(FOLDERS.c.path == folder, PHOTOS.c.file_name == name)
    within_folders = select(FOLDERS.c.id).where(folder_is_under(path))
    return (
        select(PHOTOS.c.id)
        .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
        .where(or_(PHOTOS.c.folder_id.in_(within_folders), itself))
    )


def present_below(session: Session, folder: str) -> list[int]:
    """Give the photos below `folder` that are not missing."""
    found = session.execute(ids_at(folder).where(PHOTOS.c.state != "missing"))
    return [photo_id for (photo_id,) in found]


def find(session: Session, path: str) -> int | None:
    """Give the number of the photo at `path`."""
    row = at(session, *stored_paths.split(path))
    return None if row is None else row.id


def path_of(session: Session, photo_id: int) -> str | None:
    """Give the path of a photo."""
    row = session.execute(
        select(FOLDERS.c.path, PHOTOS.c.file_name)
        .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
        .where(PHOTOS.c.id == photo_id)
    ).first()
    return None if row is None else stored_paths.join(row.path, row.file_name)


@dataclass(frozen=True)
class FilePlace:
    """Where the file of a photo is."""

    path: str
    device: int
    """The number of its file system, as it was last seen."""


def files_of(session: Session, photo_ids: Sequence[int]) -> dict[int, FilePlace]:
    """Give where photos are, by their numbers (a few thousand at most)."""
    chosen = (
        select(PHOTOS.c.id, FOLDERS.c.path, PHOTOS.c.file_name, PHOTOS.c.device)
        .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
        .where(PHOTOS.c.id.in_(photo_ids))
    )
    rows = session.execute(chosen)
    return {id_: FilePlace(stored_paths.join(folder, name), device) for id_, folder, name, device in rows}


_AT = (
    select(PHOTOS.c.id, PHOTOS.c.state, PHOTOS.c.size, PHOTOS.c.mtime_ns, PHOTOS.c.inode, PHOTOS.c.device)
    .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
    .where(FOLDERS.c.path == bindparam("folder"), PHOTOS.c.file_name == bindparam("name"))
)


def at(session: Session, folder: str, name: str) -> Row[int, str, int, int, int, int] | None:
    """Return id, state, size, mtime_ns, inode and device of the photo with this folder and name."""
    return session.execute(_AT, {"folder": folder, "name": name}).first()


def folder_for(session: Session, root_id: int, folder: str) -> int:
    """Give the number of a folder; a new one is remembered first."""
    found = session.execute(_FOLDER, {"folder": folder}).scalar()
    if found is not None:
        return int(found)
    added = insert(FOLDERS).values(path=folder, root_id=root_id).returning(FOLDERS.c.id)
    return int(session.execute(added).scalar_one())


_FOLDER = select(FOLDERS.c.id).where(FOLDERS.c.path == bindparam("folder"))
