"""Pairs of a RAW and its JPEG: one shot, which counts once and has the stars of the RAW.

The caller decides which file names make a pair.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import bindparam, delete, insert, select, text
from sqlalchemy.orm import Session

from maclip_daemon.library.storage import stored_paths
from maclip_daemon.library.storage.tables import PAIRS, PHOTOS

RoleOf = Callable[[str], Literal["raw", "developed"] | None]
"""What a file name is in a pair: the leading RAW, the camera's own JPEG or HEIC, or neither."""

_COLUMNS = (PHOTOS.c.id, PHOTOS.c.folder_id, PHOTOS.c.file_name, PHOTOS.c.state)


def link_all(session: Session, role_of: RoleOf) -> set[int]:
    """Find the pairs of the whole library anew; return the files of those that are new or no more."""
    return _replace_all(session, _pairs((tuple(row) for row in session.execute(select(*_COLUMNS))), role_of))


def link(session: Session, photo_ids: Sequence[int], role_of: RoleOf) -> list[int]:
    """Find the pairs of these photos anew.

    Return the photos whose stars come from one of these RAWs, and the files of pairs that are new or no more.
    """
    chosen = session.execute(select(*_COLUMNS).where(PHOTOS.c.id.in_(photo_ids))).all()
    keys = {(row.folder_id, _stem(row.file_name)) for row in chosen if role_of(row.file_name)}
    if not keys:
        return []
    rows = [row for key in sorted(keys) for row in _with_stem(session, *key)]
    found = _pairs(rows, role_of)
    known = _known(session, [number for number, *_ in rows])
    if known != found:
        session.execute(delete(PAIRS).where(PAIRS.c.photo_id.in_(known)))
        _insert(session, found)
    led = {photo for photo, raw in found.items() if raw in set(photo_ids)}
    return sorted(led | _differing(known, found))


def _with_stem(session: Session, folder_id: int, stem: str) -> list[tuple[int, int, str, str]]:
    """Return the photos of a folder whose names are this stem and a suffix."""
    driver = (
        session.connection().connection.driver_connection
    )  # for each photo: SQLAlchemy takes most of the time
    assert isinstance(driver, sqlite3.Connection)
    # "/" follows "." in ASCII, and no name holds it.
    limits = (folder_id, stored_paths.stored(f"{stem}."), stored_paths.stored(f"{stem}/"))
    return [
        (number, folder, stored_paths.restored(name), state)
        for number, folder, name, state in driver.execute(_WITH_STEM, limits)
    ]


_WITH_STEM = (
    "SELECT id, folder_id, file_name, state FROM photos"
    " WHERE folder_id = ? AND file_name >= ? AND file_name < ?"
)


@dataclass(frozen=True)
class PairedPhoto:
    """The other file of a shot."""

    photo_id: int
    path: str
    stars_written: int | None
    """The rating last written to it and not undone."""
    rating_owner: str
    rating_in_file: int | None

    @property
    def is_without_stars(self) -> bool:
        """Return whether a person took its stars away."""
        return self.rating_owner == "person" and not self.rating_in_file


def partners(session: Session, photo_ids: Sequence[int]) -> dict[int, list[PairedPhoto]]:
    """Return the other files of the shots of these photos, by photo id; missing ones are left out."""
    found: dict[int, list[PairedPhoto]] = defaultdict(list)
    for asked, photo_id, folder, name, *rest in session.execute(_PARTNERS, {"photo_ids": photo_ids}):
        found[asked].append(PairedPhoto(photo_id, stored_paths.join(folder, name), *rest))
    return found


_PARTNERS = text(
    "SELECT pair.asked, p.id, f.path, p.file_name, p.stars_written, p.rating_owner, p.rating_in_file FROM"
    " (SELECT photo_id AS asked, raw_id AS other FROM photo_pairs WHERE photo_id IN :photo_ids"
    " UNION ALL SELECT raw_id, photo_id FROM photo_pairs WHERE raw_id IN :photo_ids"
    # A JPEG and a HEIC of one RAW.
    " UNION ALL SELECT mine.photo_id, its.photo_id FROM photo_pairs mine JOIN photo_pairs its"
    " ON its.raw_id = mine.raw_id AND its.photo_id <> mine.photo_id WHERE mine.photo_id IN :photo_ids) pair"
    " JOIN photos p ON p.id = pair.other JOIN folders f ON f.id = p.folder_id"
    " WHERE p.state <> 'missing' ORDER BY pair.asked, p.id"
).bindparams(bindparam("photo_ids", expanding=True))


def unlink_all(session: Session) -> set[int]:
    """Delete all pairs: each photo counts for itself. Return their files."""
    return _replace_all(session, {})


def _replace_all(session: Session, found: dict[int, int]) -> set[int]:
    known = _known(session)
    if known != found:
        session.execute(delete(PAIRS))
        _insert(session, found)
    return _differing(known, found)


def _known(session: Session, photo_ids: Sequence[int] | None = None) -> dict[int, int]:
    """Return the RAW of each photo that has one, as recorded; of these photos, or of all."""
    chosen = select(PAIRS.c.photo_id, PAIRS.c.raw_id)
    if photo_ids is not None:
        chosen = chosen.where(PAIRS.c.photo_id.in_(photo_ids))
    return {photo: raw for photo, raw in session.execute(chosen)}


def _differing(known: dict[int, int], found: dict[int, int]) -> set[int]:
    return {number for pair in known.items() ^ found.items() for number in pair}


def _pairs(rows: Iterable[tuple[int, int, str, str]], role_of: RoleOf) -> dict[int, int]:
    """Return the RAW of each photo that has one; of several RAWs the first by name.

    A missing RAW leads only photos that are missing too: they come back together.
    """
    present: dict[tuple[int, str], tuple[str, int]] = {}
    known: dict[tuple[int, str], tuple[str, int]] = {}
    found: dict[int, int] = {}
    others: dict[tuple[int, str], list[tuple[int, bool]]] = defaultdict(list)
    for number, folder, name, state in rows:
        role = role_of(name)
        key, is_missing = (folder, _stem(name)), state == "missing"
        if role == "raw":
            for raws in (known,) if is_missing else (known, present):
                raws[key] = min(raws.get(key, (name, number)), (name, number))
        elif role is not None:
            others[key].append((number, is_missing))
    for key, of_a_shot in others.items():
        for number, is_missing in of_a_shot:
            raw = (known if is_missing else present).get(key)
            if raw is not None:
                found[number] = raw[1]
    return found


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _insert(session: Session, found: dict[int, int]) -> None:
    if found:
        session.execute(insert(PAIRS), [{"photo_id": photo, "raw_id": raw} for photo, raw in found.items()])
