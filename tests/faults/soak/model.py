"""The expected state of a library, derived from the simulated user's actions alone.

Only row ids and score times are read from the program, to check later whether a photo kept its row.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from tests.faults.soak.sidecar_files import is_in_another_case


@dataclass(frozen=True)
class Content:
    """An image: its bytes and its score by `maclip score`; None for an unreadable one."""

    name: str
    suffix: str
    data: bytes
    score: float | None


class RowIdentity(NamedTuple):
    """A photo's row id and the time of its score: both stay while the file is only renamed."""

    row: int
    scored_at: str


@dataclass(eq=False)
class Photo:
    """A photo file as the simulated user left it."""

    path: str
    content: Content
    digest: bytes
    embedded: int | None = None
    """The rating that a person wrote into the file itself."""
    overwritten: int | None = None
    """The rating that was in the file before it was overwritten: maclip's sidecar may hold a copy."""
    kept: RowIdentity | None = None
    previous_path: str = ""
    """Its path at the last agreement of model and database."""
    has_moved: bool = False
    """It was moved since the last agreement."""
    was_paired: bool = False
    """It was written as part of a RAW and JPEG pair."""
    moved_out_from: str = ""
    """Its path before it was moved out, if still free: on return it finds its own sidecar there."""
    former_pictures: set[str] = field(default_factory=set)
    """Pictures that were in the file before: the library knows one of them until it has read the file."""
    is_busy: bool = False
    """A slow copy still writes it."""
    is_linked: bool = False
    """It has or had a hard link: a later rename may move either of the two rows."""
    is_touched: bool = False
    """Its time was changed without an event: some later scan decodes it again."""
    is_undone: bool = False
    """Its rating was undone (`maclip undo`): it is not rated until `maclip rate`."""
    has_replaced_another: bool = False
    """It replaced another photo since the last agreement; without events that is a changed photo."""
    sidecar_change: Literal["", "first", "further"] = ""
    """A person's changes of its sidecar since the last agreement. A start finds only the first."""
    is_unnoticed: bool = False
    """A person changed or deleted its sidecar without an event: the next rating will notice."""
    is_cut_off: bool = False
    """Its root went away when it had just been moved: the library alone knows a rating that stayed behind."""
    log: list[str] = field(default_factory=list)

    @property
    def pictures(self) -> set[str]:
        """The pictures by which its row may be recognised."""
        return {self.content.name, *self.former_pictures}


@dataclass(eq=False)
class Sidecar:
    """A person's changes of a sidecar."""

    rating: int | None = None
    frozen: bytes | None = None
    """The file's bytes after a person's rating; they may not change."""
    label: str | None = None
    """A person's label in a sidecar of maclip; every later write must keep it."""
    is_from_another_photo: bool = False
    """It was written for another photo: its stars may count as a person's."""


class Model:
    """The photos and sidecars below a root, and their changes since model and database agreed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.photos: dict[str, Photo] = {}
        self.sidecars: dict[str, Sidecar] = {}
        self.moved_out: list[Photo] = []
        """Photos that were moved out of the root and may come back."""
        self.gone: dict[str, Photo] = {}
        """Deleted photos by their last path: a new photo at that path gets their row.

        Purged ones too: the daemon may not have missed them yet, and then their rows are still there.
        """
        self.departed: dict[str, set[str]] = {}
        """The pictures of photos that moved away from a path; unless that was seen, their row is there."""
        self.pairs: list[tuple[Photo, Photo]] = []
        """JPEG and RAW pairs of one shot, as long as neither was moved."""
        self.rows: dict[int, str] = {}
        """The rows of the database at the last agreement, and their paths."""
        self.renames_kept = 0
        """Photos that were renamed and kept their row and their score."""
        self.left_sidecars = 0
        """The number of sidecars that the daemon wrote while photo and sidecar were being moved away."""
        self.left: set[str] = set()
        """Former paths of photos, where sidecars may remain."""
        self.undone_pictures: set[str] = set()
        """Pictures of undone photos that left a path. One of the same may be recognised by its pixels."""
        self.since_agreement()

    def since_agreement(self) -> None:
        """Begin a new round."""
        self.followed: set[str] = set()
        """Paths from which a photo was moved together with its sidecar."""
        self.taken: dict[str, set[Photo]] = {}
        """The photos that newly came to each path."""
        self.was_offline = False
        """The root was offline: for a while all its photos are missing."""
        self.renamed: list[tuple[str, str]] = []
        """Photos and folders, in order: old path, new path."""
        self.interruptions = 0
        """Stops and reloads of the daemon."""
        self.has_purged = False
        """`maclip purge` was run."""

    def put(self, path: str, content: Content, data: bytes, did: str) -> Photo:
        """Record that a file was written at a path, new or over another."""
        photo = self.photos.get(path)
        if photo is None:
            photo = self.photos[path] = Photo(path, content, b"")
            if (before := self.gone.pop(path, None)) is not None:
                photo.log, photo.is_undone = [*before.log], before.is_undone
                photo.former_pictures = before.pictures
            self._mark_existing_sidecar(path)
            self._record_taken(path, photo)
        self._record_left(photo)
        photo.former_pictures.add(photo.content.name)
        photo.content, photo.digest = content, digest_of(data)
        photo.overwritten = photo.embedded or photo.overwritten
        photo.embedded, photo.kept, photo.is_unnoticed, photo.is_touched = None, None, False, False
        photo.log.append(did)
        return photo

    def removed(self, path: str, did: str) -> Photo:
        """Record that a photo was deleted, and return it."""
        photo = self.photos.pop(path)
        photo.log.append(did)
        self.gone[path] = photo
        self.left.add(path)
        self._record_left(photo)
        self._drop_pair(photo)
        return photo

    def moved(self, old: str, new: str, did: str, *, with_sidecar: bool) -> None:
        """Record that a photo was moved. `with_sidecar`: its sidecar was moved too."""
        photo = self.photos.pop(old)
        self.left.add(old)
        self.departed.setdefault(old, set()).update(photo.pictures)
        self.renamed.append((old, new))
        if (replaced := self.photos.get(new)) is not None:
            photo.log += [f"  replaced: {line}" for line in replaced.log[-3:]]
            photo.has_replaced_another = True
            self._record_left(replaced)
            self._drop_pair(replaced)
        self._put_at(photo, new, did)
        photo.is_unnoticed = photo.is_cut_off = False  # a rename makes the daemon read the sidecar
        if with_sidecar:
            self.followed.add(old)
            self.sidecars[sidecar_of(new)] = self.sidecars.pop(sidecar_of(old), Sidecar())
            if replaced is not None and is_in_another_case(sidecar_of(new)):
                # That one counts once this one is gone.
                self.sidecar(new).is_from_another_photo = True
        else:
            self._mark_existing_sidecar(new)
            before = self.sidecars.get(sidecar_of(old), Sidecar())
            if before.rating is not None and is_in_another_case(sidecar_of(new)):
                self.sidecar(
                    new
                ).is_from_another_photo = True  # renamed by case alone: the person's still counts

    def move_out(self, path: str, place: str, did: str) -> None:
        """Record that a photo was moved out of the root."""
        photo = self.removed(path, did)
        photo.path, photo.moved_out_from = place, path
        self.moved_out.append(photo)

    def returned(self, photo: Photo, path: str, did: str) -> None:
        """Record that a photo was moved back into the root."""
        self.moved_out.remove(photo)
        if path != photo.moved_out_from:
            self._mark_existing_sidecar(path)
            if photo.moved_out_from:
                self.renamed.append((photo.moved_out_from, path))  # its row follows it
        self._put_at(photo, path, did)

    def moved_folder(self, old: str, new: str, did: str) -> None:
        """Record that a folder was renamed with its contents."""
        self.renamed.append((old, new))

        def followed(path: str) -> str:
            return new + path[len(old) :] if path.startswith(old + os.sep) else path

        moving = [path for path in self.photos if path.startswith(old + os.sep)]
        for path in moving:
            self._put_at(self.photos.pop(path), followed(path), did)
        self.sidecars = {followed(path): sidecar for path, sidecar in self.sidecars.items()}
        self.left |= {followed(path) for path in self.left} | set(moving)
        self.gone |= {followed(path): photo for path, photo in self.gone.items()}
        self.departed |= {followed(path): pictures for path, pictures in self.departed.items()}
        for photo in self.moved_out:
            photo.path, photo.moved_out_from = followed(photo.path), followed(photo.moved_out_from)

    def edited(self, photo: Photo, did: str) -> None:
        """Record that another program changed the photo's embedded metadata."""
        photo.digest, photo.kept = digest_of(Path(photo.path).read_bytes()), None
        photo.is_unnoticed = False
        photo.log.append(did)

    def sidecar(self, path: str) -> Sidecar:
        """Return the record of people's changes of a photo's sidecar."""
        return self.sidecars.setdefault(sidecar_of(path), Sidecar())

    def interrupted(self, how: str) -> None:
        """Record that the daemon was restarted or reloaded, or that the root was offline.

        Checks of sidecars that were due are dropped; a look at all of them follows.
        """
        self.interruptions += 1
        for photo in self.photos.values():
            photo.log.append(f"  ({how})")
            photo.is_unnoticed |= photo.sidecar_change == "further"

    def disconnected(self) -> None:
        """Record that the root was offline."""
        self.was_offline = True
        self.interrupted("unplugged")
        for photo in self.photos.values():
            photo.is_cut_off |= photo.has_moved

    def history_of(self, path: str) -> list[str]:
        """Return the history of the photo at a path."""
        path = path.removesuffix(".xmp")
        photo = self.photos.get(path) or self.gone.get(path)
        return photo.log if photo else ["no photo was ever at this path"]

    def purged(self) -> None:
        """Record a purge: rows of missing photos are gone, even of those whose return was unnoticed."""
        self.has_purged = True
        for photo in self.moved_out:
            photo.kept, photo.moved_out_from = None, ""
        for path in self.taken.keys() & self.photos.keys():
            self.photos[path].kept = None
            self.sidecar(path).is_from_another_photo = True

    def rating_requested(self) -> None:
        """Record `maclip rate`: undone photos are rated again."""
        for photo in [*self.photos.values(), *self.moved_out, *self.gone.values()]:
            photo.is_undone = False

    def _drop_pair(self, photo: Photo) -> None:
        self.pairs = [pair for pair in self.pairs if photo not in pair]

    def undone(self, path: str, did: str) -> None:
        """Record `maclip undo` of a path, where the library may still know the photo of before."""
        for photo in self.photos.values():
            if path in (photo.path, photo.previous_path):
                photo.is_undone = True
        self.photos[path].log.append(did)

    def may_succeed_undone(self, photo: Photo) -> bool:
        """Return whether a new photo may be recognised by its pixels as one that was undone."""
        return photo.kept is None and photo.content.name in self.undone_pictures

    def _record_left(self, photo: Photo) -> None:
        if photo.is_undone:
            self.undone_pictures |= photo.pictures

    def _put_at(self, photo: Photo, path: str, did: str) -> None:
        self._record_left(photo)
        self._drop_pair(photo)
        photo.path, photo.has_moved = path, True
        photo.log.append(did)
        self.photos[path] = photo
        self._record_taken(path, photo)

    def _record_taken(self, path: str, photo: Photo) -> None:
        self.taken.setdefault(path, set()).add(photo)
        for other in self.moved_out:
            if path in (other.previous_path, other.moved_out_from):
                other.kept = None  # its row belongs to the new file now
            if other.moved_out_from == path:
                other.moved_out_from = ""

    def _mark_existing_sidecar(self, path: str) -> None:
        if os.path.lexists(sidecar_of(path)):
            self.sidecar(path).is_from_another_photo = True
        else:
            self.sidecars.pop(sidecar_of(path), None)


def sidecar_of(path: str) -> str:
    """Return the path of a photo's sidecar."""
    return f"{path}.xmp"


def digest_of(data: bytes) -> bytes:
    """Return a digest that shows later whether the bytes changed."""
    return hashlib.blake2b(data, digest_size=16).digest()
