"""What is true of a library beside which hands work at random, as far as the hands know.

Nothing here is learnt from the program except the numbers of its rows, so that a later look can say whether
a photo kept its own.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple


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
    has_moved: bool = False
    """It got another path since the last agreement."""
    was_paired: bool = False
    """It came as one of a RAW and its JPEG."""
    lent_from: str = ""
    """The path that it left for outside, and that nobody took since: there it meets its own sidecar."""
    is_busy: bool = False
    """A slow copy still writes it."""
    is_linked: bool = False
    """It has, or had, a second name: which of the two rows a later rename takes along is not promised."""
    is_touched: bool = False
    """Its time was changed without an event: some later scan decodes it again."""
    is_undone: bool = False
    """Its stars were taken back (`maclip undo`): it rests until somebody asks for stars."""
    has_replaced_another: bool = False
    """It took the name of another photo since the last agreement; without events that is a changed photo."""
    sidecar_change: Literal["", "first", "further"] = ""
    """What a person did to its sidecar since the last agreement. A start finds no further changes."""
    is_unnoticed: bool = False
    """A person changed its sidecar while nobody listened, or took it away: the next rating will see it."""
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


class Model:
    """The photos and sidecars below a root, and what happened to them since model and database agreed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.photos: dict[str, Photo] = {}
        self.sidecars: dict[str, Sidecar] = {}
        self.lent: list[Photo] = []
        """Photos that were moved out of the root and may come back."""
        self.gone: dict[str, Photo] = {}
        """Photos that were there once, by their last path: whoever takes it, gets their row."""
        self.pairs: list[tuple[Photo, Photo]] = []
        """A JPEG and the RAW of its shot, as long as neither was moved."""
        self.rows: dict[int, str] = {}
        """The rows of the database at the last agreement, and their paths."""
        self.renames_kept = 0
        """Photos that were renamed and kept their row and their score."""
        self.left_by_us = 0
        """Sidecars that the daemon wrote in the moment when the photo and its sidecar were moved away."""
        self.left: set[str] = set()
        """Paths that photos left: their sidecars may lie there without them."""
        self.since_agreement()

    def since_agreement(self) -> None:
        """Begin a new round."""
        self.followed: set[str] = set()
        """Paths from which a photo was moved together with its sidecar."""
        self.taken: dict[str, set[Photo]] = {}
        """Who took which path anew."""
        self.was_unplugged = False
        """The root was away: for a while all its photos are missing."""
        self.renamed: list[tuple[str, str]] = []
        """Photos and folders, in order: old path, new path."""
        self.interruptions = 0
        """Ends and reloads of the daemon."""
        self.forgot_rows = False
        """`maclip purge` was run."""

    def put(self, path: str, content: Content, data: bytes, did: str) -> Photo:
        """A file was written at a path, whatever was there before."""
        photo = self.photos.get(path)
        if photo is None:
            photo = self.photos[path] = Photo(path, content, b"")
            if (before := self.gone.pop(path, None)) is not None:
                photo.log, photo.is_undone = [*before.log], before.is_undone
            self._meets_a_strange_sidecar(path)
            self._take(path, photo)
        photo.content, photo.digest = content, digest_of(data)
        photo.embedded, photo.kept, photo.is_unnoticed, photo.is_touched = None, None, False, False
        photo.log.append(did)
        return photo

    def removed(self, path: str, did: str) -> Photo:
        """A photo is no longer there."""
        photo = self.photos.pop(path)
        photo.log.append(did)
        self.gone[path] = photo
        self.left.add(path)
        self._part(photo)
        return photo

    def moved(self, old: str, new: str, did: str, *, with_sidecar: bool) -> None:
        """A photo has another path; `with_sidecar`: its sidecar was there and went along."""
        photo = self.photos.pop(old)
        self.left.add(old)
        self.renamed.append((old, new))
        if (replaced := self.photos.get(new)) is not None:
            photo.log += [f"  replaced: {line}" for line in replaced.log[-3:]]
            photo.has_replaced_another = True
            self._part(replaced)
        self._place(photo, new, did)
        photo.is_unnoticed = False  # whoever renames a photo has its sidecar looked at
        if with_sidecar:
            self.followed.add(old)
            self.sidecars[sidecar_of(new)] = self.sidecars.pop(sidecar_of(old), Sidecar())
        else:
            self._meets_a_strange_sidecar(new)

    def lend(self, path: str, place: str, did: str) -> None:
        """A photo went out of the root, to another place."""
        photo = self.removed(path, did)
        photo.path, photo.lent_from = place, path
        self.lent.append(photo)

    def returned(self, photo: Photo, path: str, did: str) -> None:
        """A photo came back into the root."""
        self.lent.remove(photo)
        if path != photo.lent_from:
            self._meets_a_strange_sidecar(path)
            if photo.lent_from:
                self.renamed.append((photo.lent_from, path))  # its row follows it
        self._place(photo, path, did)

    def moved_folder(self, old: str, new: str, did: str) -> None:
        """A folder was renamed with all that it holds."""
        self.renamed.append((old, new))

        def followed(path: str) -> str:
            return new + path[len(old) :] if path.startswith(old + os.sep) else path

        moving = [path for path in self.photos if path.startswith(old + os.sep)]
        for path in moving:
            self._place(self.photos.pop(path), followed(path), did)
        self.sidecars = {followed(path): sidecar for path, sidecar in self.sidecars.items()}
        self.left |= {followed(path) for path in self.left} | set(moving)
        self.gone |= {followed(path): photo for path, photo in self.gone.items()}
        for photo in self.lent:
            photo.path, photo.lent_from = followed(photo.path), followed(photo.lent_from)

    def edited(self, photo: Photo, did: str) -> None:
        """Another hand rewrote the photo's metadata in the file: the bytes are what it made of them."""
        photo.digest, photo.kept = digest_of(Path(photo.path).read_bytes()), None
        photo.is_unnoticed = False
        photo.log.append(did)

    def sidecar(self, path: str) -> Sidecar:
        """What persons did to the sidecar of a photo."""
        return self.sidecars.setdefault(sidecar_of(path), Sidecar())

    def interrupted(self, how: str) -> None:
        """The daemon began anew."""
        self.interruptions += 1
        for photo in self.photos.values():
            photo.log.append(f"  ({how})")
            photo.is_unnoticed |= photo.sidecar_change == "further"

    def unplugged(self) -> None:
        """The root was away for a moment; the looks at its sidecars went with their jobs."""
        self.interruptions += 1
        self.was_unplugged = True
        for photo in self.photos.values():
            photo.log.append("  (unplugged)")
            photo.is_unnoticed |= photo.has_moved or photo.sidecar_change != ""

    def story_of(self, path: str) -> list[str]:
        """What happened to the photo at a path."""
        path = path.removesuffix(".xmp")
        photo = self.photos.get(path) or self.gone.get(path)
        return photo.log if photo else ["nothing was ever there"]

    def forgotten(self) -> None:
        """The rows of missing photos were deleted, also of those whose return was not noticed yet."""
        self.forgot_rows = True
        for photo in self.lent:
            photo.kept, photo.lent_from = None, ""
        for path in self.taken.keys() & self.photos.keys():
            self.photos[path].kept = None
            self.sidecar(path).is_stranger = True
        self.gone = {}

    def asked_for_stars(self) -> None:
        """Photos whose stars were taken back get some again."""
        for photo in [*self.photos.values(), *self.lent, *self.gone.values()]:
            photo.is_undone = False

    def _part(self, photo: Photo) -> None:
        self.pairs = [pair for pair in self.pairs if photo not in pair]

    def _place(self, photo: Photo, path: str, did: str) -> None:
        self._part(photo)
        photo.path, photo.has_moved = path, True
        photo.log.append(did)
        self.photos[path] = photo
        self._take(path, photo)

    def _take(self, path: str, photo: Photo) -> None:
        self.taken.setdefault(path, set()).add(photo)
        for other in self.lent:
            if path in (other.was_at, other.lent_from):
                other.kept = None  # its row belongs to the new file now
            if other.lent_from == path:
                other.lent_from = ""

    def _meets_a_strange_sidecar(self, path: str) -> None:
        if os.path.lexists(sidecar_of(path)):
            self.sidecar(path).is_stranger = True
        else:
            self.sidecars.pop(sidecar_of(path), None)


def sidecar_of(path: str) -> str:
    """The name of a photo's sidecar."""
    return f"{path}.xmp"


def digest_of(data: bytes) -> bytes:
    """What shows that bytes are as they were."""
    return hashlib.blake2b(data, digest_size=16).digest()
