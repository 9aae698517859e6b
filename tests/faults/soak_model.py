"""What must be true of a library beside which hands work at random: the model of the soak.

The hands (`soak_hands.py`) tell it what they did to the disk; nothing here is learnt from the program except
the numbers of its rows, so that a later look can say whether a photo kept its own.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple
from xml.etree import ElementTree

from tests.homes import Home

SCORE_TOLERANCE = 2e-5  # the same pixels in a batch of another size; the soak's pictures lie further apart
WRITTEN_SCORE_TOLERANCE = 2e-5 + 1e-6  # six decimals stand in a sidecar
NAMESPACES = {
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "maclip": "http://ns.maclip-daemon/quality/1.0/",
}
_DESCRIPTION = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description"
_ROWS = """
SELECT p.id, f.path, p.file_name, p.state, p.rating_owner, p.rating_in_file, p.rating_problem,
  (SELECT count(*) FROM scores s WHERE s.photo_id = p.id AND s.scale_id = a.id),
  (SELECT s.score FROM scores s WHERE s.photo_id = p.id AND s.scale_id = a.id),
  (SELECT s.scored_at FROM scores s WHERE s.photo_id = p.id AND s.scale_id = a.id)
FROM photos p JOIN folders f ON f.id = p.folder_id LEFT JOIN scales a ON a.active = 1
"""


@dataclass(frozen=True)
class Content:
    """A picture: its bytes and the score that `maclip score` gives it; None: no program can read it."""

    name: str
    suffix: str
    data: bytes
    score: float | None


class Kept(NamedTuple):
    """The row of a photo and the moment of its score: they stay while the file is only renamed."""

    row: int
    scored_at: str


@dataclass(eq=False)
class Photo:
    """A photo file as the hands left it."""

    path: str
    content: Content
    digest: bytes
    embedded: int | None = None
    """The rating that a person wrote into the file itself."""
    kept: Kept | None = None
    was_at: str = ""
    """Its path at the last agreement of model and database."""
    is_busy: bool = False
    """A slow copy still writes it."""
    is_linked: bool = False
    """It has, or had, a second name: which of the two rows a later rename takes along is not promised."""
    has_replaced_another: bool = False
    """It took the name of another photo since the last agreement; without events that is a changed photo."""
    unnoticed_until: Literal["", "a start", "a look"] = ""
    """A person changed its sidecar: when the database will know at the latest."""
    log: list[str] = field(default_factory=list)


@dataclass(eq=False)
class Sidecar:
    """What a person did to a sidecar."""

    rating: int | None = None
    frozen: bytes | None = None
    """The file after a person's rating: not a byte of it may change."""
    label: str | None = None
    """A person's entry in a sidecar of ours: it must survive all that we write."""
    is_stranger: bool = False
    """It was written for another photo: by the rules its stars may count as a person's."""


class Row(NamedTuple):
    """A photo as the database knows it."""

    id: int
    path: str
    state: str
    owner: str
    rating: int | None
    problem: str | None
    scores: int
    score: float | None
    scored_at: str | None


class Mismatch(NamedTuple):
    """Something that is not as it must be."""

    path: str
    what: str


class Model:
    """The photos and sidecars below a root, and what the database must say of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.photos: dict[str, Photo] = {}
        self.sidecars: dict[str, Sidecar] = {}
        self.lent: list[Photo] = []
        """Photos that were moved out of the root and may come back."""
        self.gone: dict[str, list[str]] = {}
        """The stories of photos that were there once, by their last path."""
        self.left: set[str] = set()
        """Paths that photos left: their sidecars may lie there without them."""
        self.followed: set[str] = set()
        """Paths from which a photo was moved together with its sidecar, since the last agreement."""
        self.left_by_us = 0
        """Sidecars that the daemon wrote in the moment when the photo and its sidecar were moved away."""
        self.reused: set[str] = set()
        """Paths that were taken anew since the last agreement."""
        self.renamed_folders: list[tuple[str, str]] = []
        self.interruptions = 0
        """Ends and reloads of the daemon since the last agreement."""
        self.forgot_rows = False
        """`maclip purge` was run since the last agreement."""
        self._rows: dict[int, str] = {}
        self.renames_kept = 0

    # --- what the hands tell -------------------------------------------------------------------------

    def put(self, path: str, content: Content, data: bytes, did: str) -> Photo:
        """A file was written at a path, whatever was there before."""
        photo = self.photos.get(path)
        if photo is None:
            photo = self.photos[path] = Photo(path, content, b"", log=[*self.gone.pop(path, [])])
            self._meets_a_strange_sidecar(path)
            self._take(path)
        photo.content, photo.digest = content, digest_of(data)
        photo.embedded, photo.kept, photo.unnoticed_until = None, None, ""
        photo.log.append(did)
        return photo

    def removed(self, path: str, did: str) -> None:
        """A photo is no longer there."""
        photo = self.photos.pop(path)
        photo.log.append(did)
        self.gone[path] = photo.log
        self.left.add(path)

    def moved(self, old: str, new: str, did: str, *, with_sidecar: bool) -> None:
        """A photo has another path; `with_sidecar`: its sidecar was there and went along."""
        photo = self.photos.pop(old)
        self.left.add(old)
        if (replaced := self.photos.get(new)) is not None:
            photo.log += [f"  replaced: {line}" for line in replaced.log[-3:]]
            photo.has_replaced_another = True
        self._place(photo, new, did)
        photo.unnoticed_until = ""  # whoever renames a photo has its sidecar looked at
        if with_sidecar:
            self.followed.add(old)
            self.sidecars[sidecar_of(new)] = self.sidecars.pop(sidecar_of(old), Sidecar())
        else:
            self._meets_a_strange_sidecar(new)

    def lend(self, path: str, did: str) -> Photo:
        """A photo went out of the root."""
        photo = self.photos[path]
        self.removed(path, did)
        self.lent.append(photo)
        return photo

    def returned(self, photo: Photo, path: str, did: str) -> None:
        """A photo came back into the root."""
        self.lent.remove(photo)
        self._place(photo, path, did)
        self._meets_a_strange_sidecar(path)

    def moved_folder(self, old: str, new: str, did: str) -> None:
        """A folder was renamed with all that it holds."""
        self.renamed_folders.append((old, new))

        def followed(path: str) -> str:
            return new + path[len(old) :] if path.startswith(old + os.sep) else path

        moving = [path for path in self.photos if path.startswith(old + os.sep)]
        for path in moving:
            self._place(self.photos.pop(path), followed(path), did)
        self.sidecars = {followed(path): sidecar for path, sidecar in self.sidecars.items()}
        self.left |= {followed(path) for path in self.left} | set(moving)
        self.gone |= {followed(path): [*log, did] for path, log in self.gone.items()}

    def edited(self, photo: Photo, did: str) -> None:
        """Another hand rewrote the photo's metadata in the file: the bytes are what it made of them."""
        photo.digest, photo.kept = digest_of(Path(photo.path).read_bytes()), None
        photo.unnoticed_until = ""
        photo.log.append(did)

    def sidecar(self, path: str) -> Sidecar:
        """What persons did to the sidecar of a photo."""
        return self.sidecars.setdefault(sidecar_of(path), Sidecar())

    def interrupted(self, how: str) -> None:
        """The daemon began anew."""
        self.interruptions += 1
        for photo in self.photos.values():
            photo.log.append(f"  ({how})")
            if photo.unnoticed_until == "a start":
                photo.unnoticed_until = ""

    def _place(self, photo: Photo, path: str, did: str) -> None:
        photo.path = path
        photo.log.append(did)
        self.photos[path] = photo
        self._take(path)

    def _take(self, path: str) -> None:
        self.reused.add(path)
        for other in self.lent:
            if other.was_at == path:
                other.kept = None  # its row belongs to the new file now

    def _meets_a_strange_sidecar(self, path: str) -> None:
        if os.path.lexists(sidecar_of(path)):
            self.sidecar(path).is_stranger = True
        else:
            self.sidecars.pop(sidecar_of(path), None)

    # --- what must be true ---------------------------------------------------------------------------

    def disagreements(self, home: Home) -> list[Mismatch]:
        """Everything in which database and disk differ from what must be true; nothing: all is well."""
        rows = read_rows(home)
        edges = _edges(home)
        found = list(self._of_rows(rows))
        by_path = {row.path: row for row in rows}
        for path, photo in self.photos.items():
            row = by_path.get(path)
            if row is None:
                found.append(Mismatch(path, "is not in the database"))
            else:
                found += [Mismatch(path, what) for what in self._of_photo(photo, row, edges)]
        return found or [*self._of_disk()]

    def agree(self, home: Home) -> None:
        """Remember the numbers of the rows: from now on they must stay."""
        rows = read_rows(home)
        self._rows = {row.id: row.path for row in rows}
        by_path = {row.path: row for row in rows}
        for path, photo in self.photos.items():
            row = by_path[path]
            if photo.kept is not None and photo.was_at != path:
                self.renames_kept += 1
            photo.kept = Kept(row.id, row.scored_at) if row.scored_at and not photo.is_linked else None
            photo.was_at = path
            if self._missed_events(photo):
                self.sidecar(path).is_stranger = True
            photo.has_replaced_another = False
        self.left = {path.removesuffix(".xmp") for path in self._sidecars_on_disk()} - self.photos.keys()
        self.left_by_us += len(self.left & self.followed)
        self.followed = set()
        self.reused, self.renamed_folders = set(), []
        self.interruptions, self.forgot_rows = 0, False

    def story_of(self, path: str) -> list[str]:
        """What happened to the photo at a path."""
        path = path.removesuffix(".xmp")
        photo = self.photos.get(path)
        return photo.log if photo else self.gone.get(path, ["nothing was ever there"])

    def _of_rows(self, rows: list[Row]) -> Iterator[Mismatch]:
        by_id = {row.id: row for row in rows}
        paths = {row.path for row in rows}
        for row in rows:
            if row.state != "missing" and row.path not in self.photos:
                yield Mismatch(row.path, f"is {row.state} in the database, and not on the disk")
        for number, path in self._rows.items():
            if number in by_id or (self.forgot_rows and path not in self.photos):
                continue
            if not self._names_of(path) & paths:
                yield Mismatch(path, f"its row {number} was deleted")

    def _names_of(self, path: str) -> set[str]:
        """Every path that a row may have by now which was at this one."""
        names = {path}
        for old, new in self.renamed_folders:
            names |= {new + name[len(old) :] for name in names if name.startswith(old + os.sep)}
        return names

    def _of_photo(self, photo: Photo, row: Row, edges: tuple[float, ...] | None) -> Iterator[str]:
        score = photo.content.score
        if score is None:
            if row.state != "failed":
                yield f"is {row.state}, not failed"
            return
        if row.state != "scored" or row.scores != 1 or row.score is None:
            yield f"is {row.state} with {row.scores} scores, not scored with one"
            return
        if abs(row.score - score) > SCORE_TOLERANCE:
            yield f"has the score {row.score}, not the {score} of {photo.content.name}"
        is_excused = self._missed_events(photo) or (self.interruptions and photo.was_at in self.reused)
        if photo.kept is not None and photo.kept != (row.id, row.scored_at) and not is_excused:
            yield f"was only renamed from {photo.was_at!r}, and {photo.kept} became {row}"
        if edges is not None:
            yield from self._of_rating(photo, row, 1 + sum(row.score >= edge for edge in edges))

    def _missed_events(self, photo: Photo) -> bool:
        """Whether nobody can tell whose row the photo has: it took another's place while no one looked."""
        return photo.has_replaced_another and self.interruptions > 0

    def _of_rating(self, photo: Photo, row: Row, stars: int) -> Iterator[str]:
        path = sidecar_of(photo.path)
        person = self.sidecars.get(path, Sidecar())
        rated = person.rating if person.rating is not None else photo.embedded
        if person.frozen is not None and _bytes_of(path) != person.frozen:
            yield f"its sidecar with a person's {person.rating} stars was changed: {_bytes_of(path)!r}"
        if rated is not None:
            if (row.owner, row.rating) != ("person", rated) and not photo.unnoticed_until:
                yield f"a person gave {rated}, and the database says {row.owner} {row.rating}"
            return
        if person.is_stranger or self._missed_events(photo):
            return
        found = read_sidecar(path)
        if found is None:
            if not photo.unnoticed_until:
                yield f"has no sidecar ({row.owner}, {row.problem})"
            return
        if person.label is not None and found.get("xmp:Label") != person.label:
            yield f"a person's label {person.label} became {found.get('xmp:Label')}"
        if (found.get("xmp:Rating"), found.get("maclip:Stars")) != (str(stars), str(stars)):
            yield f"has {found} in its sidecar, not {stars} stars ({row.owner} {row.rating}, {row.problem})"
        elif abs(float(found["maclip:Score"]) - (photo.content.score or 0)) > WRITTEN_SCORE_TOLERANCE:
            yield f"has the score {found['maclip:Score']} in its sidecar, not {photo.content.score}"
        elif (row.owner, row.rating) != ("maclip", stars) and not photo.unnoticed_until:
            yield f"has our {stars} stars, and the database says {row.owner} {row.rating}"

    def _of_disk(self) -> Iterator[Mismatch]:
        lent = {photo.path for photo in self.lent}  # the trash folder lies within the root
        for folder, _, names in os.walk(self.root):
            for path in (os.path.join(folder, name) for name in names):
                if path in self.photos:
                    if digest_of(Path(path).read_bytes()) != self.photos[path].digest:
                        yield Mismatch(path, "is not as the hands left it")
                elif not path.endswith(".xmp") and path not in lent:
                    yield Mismatch(path, "nobody put it there")
        if lost := [path for path in self.photos if not os.path.lexists(path)]:
            yield from (Mismatch(path, "is gone from the disk") for path in lost)
        for path in self._sidecars_on_disk():
            photo = path.removesuffix(".xmp")
            if photo not in self.photos and photo not in self.left:
                yield Mismatch(path, "belongs to no photo that ever was there")
            elif read_sidecar(path) is None:
                yield Mismatch(path, "vanished while it was looked at")

    def _sidecars_on_disk(self) -> list[str]:
        return [
            os.path.join(folder, name)
            for folder, _, names in os.walk(self.root)
            for name in names
            if name.endswith(".xmp")
        ]


def sidecar_of(path: str) -> str:
    return f"{path}.xmp"


def digest_of(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def read_rows(home: Home) -> list[Row]:
    """Every photo of the database, the missing ones included."""
    rows = []
    for number, folder, name, *rest in home.sql(_ROWS):
        rows.append(Row(number, os.path.join(_path(folder), _path(name)), *rest))
    return rows


def read_sidecar(path: str) -> dict[str, str] | None:
    """The simple properties of a sidecar, read without any of the program's code; None: there is none.

    Raises `ElementTree.ParseError` for one that is not whole.
    """
    data = _bytes_of(path)
    if data is None:
        return None
    prefixes = {uri: prefix for prefix, uri in NAMESPACES.items()}
    found: dict[str, str] = {}
    for description in ElementTree.fromstring(data).iter(_DESCRIPTION):
        leaves = [*description.attrib.items(), *((child.tag, child.text or "") for child in description)]
        for tag, text in leaves:
            uri, _, name = tag.removeprefix("{").partition("}")
            if uri in prefixes:
                found[f"{prefixes[uri]}:{name}"] = text
    return found


def _bytes_of(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return None


def _path(stored: Any) -> str:
    return os.fsdecode(stored) if isinstance(stored, bytes) else str(stored)


def _edges(home: Home) -> tuple[float, ...] | None:
    rows = home.sql(
        "SELECT two_stars_from, three_stars_from, four_stars_from, five_stars_from FROM calibrations"
        " WHERE scale_id = (SELECT id FROM scales WHERE active = 1) ORDER BY number DESC LIMIT 1"
    )
    return rows[0] if rows else None


def has_work_left(home: Home) -> bool:
    """Whether a job waits or is in hand."""
    try:
        return home.sql("SELECT count(*) FROM jobs WHERE state <> 'dead'") != [(0,)]
    except sqlite3.OperationalError:  # the daemon that was just killed left the database to be recovered
        return True
