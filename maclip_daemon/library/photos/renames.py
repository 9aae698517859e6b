"""Renames of photos and folders: scores, jobs and journal move along."""

from __future__ import annotations

import os

from sqlalchemy import delete, func, literal, or_, select, update
from sqlalchemy.orm import Session

from maclip_daemon.library.photos import burst_frames
from maclip_daemon.library.results import decided_files
from maclip_daemon.library.storage import stored_paths
from maclip_daemon.library.storage.column_types import PathText
from maclip_daemon.library.storage.photo_paths import (
    folder_for,
    folder_is_under,
    is_under,
    path_of,
    photo_at,
)
from maclip_daemon.library.storage.tables import FOLDERS, JOURNAL, PHOTOS


def move_photo(session: Session, photo_id: int, new_path: str, root_id: int) -> None:
    """Record a photo's new path. A photo recorded there before is deleted: its file was replaced.

    Journal entries of the photo and its sidecars (`IMG.jpg.xmp`, `IMG.xmp`) move along, so that `undo` finds
    them where photo managers move them.
    """
    old_path = path_of(session, photo_id)
    if old_path is None or old_path == new_path:
        return
    folder, name = stored_paths.split(new_path)
    _place(session, photo_id, folder_for(session, root_id, folder), folder, name)
    move_targets(session, photo_id, old_path, new_path)


def move_targets(session: Session, photo_id: int, old_path: str, new_path: str) -> None:
    """Let the journal and the decisions of a photo name the files beside its new path."""
    targets = list(zip(rating_targets(old_path), rating_targets(new_path), strict=True))
    decided_files.move_targets(session, photo_id, targets)
    for old_target, new_target in targets:
        session.execute(
            update(JOURNAL)
            .where(JOURNAL.c.photo_id == photo_id, JOURNAL.c.target_path == old_target)
            .values(
                target_path=new_target,
                origin_path=func.coalesce(JOURNAL.c.origin_path, literal(old_target, PathText())),
            )
        )


def rating_targets(path: str) -> list[str]:
    """Return the files that may hold a photo's rating: itself and its sidecars, always in this order."""
    stem = os.path.splitext(path)[0]  # noqa: PTH122 - the bytes of the name as they are
    return [path, *(base + suffix for base in (path, stem) for suffix in (".xmp", ".XMP"))]


def _place(session: Session, photo_id: int, folder_id: int, folder: str, name: str) -> None:
    replaced = photo_at(session, folder, name)
    if replaced is not None and replaced.id != photo_id:
        session.execute(update(JOURNAL).where(JOURNAL.c.photo_id == replaced.id).values(photo_id=photo_id))
        burst_frames.forget(session, [replaced.id])
        session.execute(delete(PHOTOS).where(PHOTOS.c.id == replaced.id))
    session.execute(update(PHOTOS).where(PHOTOS.c.id == photo_id).values(folder_id=folder_id, file_name=name))
    burst_frames.mark_moved(session, photo_id, folder_id, name)


def move_folder(session: Session, old: str, new: str, root_id: int) -> int:
    """Record the rename of a folder and all below it; return how many photos moved.

    A folder is one row, whatever it holds. Where the new path has stale rows of an earlier folder, the photos
    that moved replace those of the same name.
    """
    old, new = stored_paths.without_trailing_slash(old), stored_paths.without_trailing_slash(new)
    folders = session.execute(
        select(FOLDERS.c.id, FOLDERS.c.path).where(folder_is_under(old)).order_by(FOLDERS.c.path)
    ).all()
    moved = 0
    for folder_id, path in folders:
        target = new + path[len(old) :]
        photos = session.execute(
            select(PHOTOS.c.id, PHOTOS.c.file_name).where(PHOTOS.c.folder_id == folder_id)
        ).all()
        moved += len(photos)
        known = session.execute(select(FOLDERS.c.id).where(FOLDERS.c.path == target)).scalar()
        if known is None or known == folder_id:
            session.execute(
                update(FOLDERS).where(FOLDERS.c.id == folder_id).values(path=target, root_id=root_id)
            )
            continue
        for photo_id, name in photos:
            _place(session, photo_id, known, target, name)
        session.execute(delete(FOLDERS).where(FOLDERS.c.id == folder_id))
    _move_journal(session, old, new)
    decided_files.move_folder(session, old, new)
    return moved


def _move_journal(session: Session, old: str, new: str) -> None:
    entries = session.execute(
        select(JOURNAL.c.id, JOURNAL.c.target_path).where(or_(*is_under(JOURNAL.c.target_path, old)))
    ).all()
    for entry_id, target in entries:
        session.execute(
            update(JOURNAL).where(JOURNAL.c.id == entry_id).values(target_path=new + target[len(old) :])
        )
