"""Which sidecars belong to a photo by their names.

darktable and Immich write `IMG.jpg.xmp`, Lightroom and Capture One `IMG.xmp`, digiKam either. On another
system the same name may have come with other letters (`IMG.JPG`, `img.jpg.xmp`) or another form of Unicode
(macOS takes é apart), so names are compared without both.
"""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from maclip_daemon.files.suffixes import FILM_SUFFIXES, PICTURE_SUFFIXES, RAW_SUFFIXES, suffix_of
from maclip_daemon.metadata.records import NameKind

SUFFIX = ".xmp"
_NUMBERED = re.compile(r"(?P<stem>.+)_[0-9]{2,}(?P<suffix>\.[^.]+)\.xmp", re.DOTALL)
_SHARING_SUFFIXES = frozenset({*RAW_SUFFIXES, *PICTURE_SUFFIXES, *FILM_SUFFIXES, ".raw"})


@dataclass(frozen=True)
class NamedSidecar:
    """A sidecar and the kind of its name: `full` is IMG.jpg.xmp, `stem` is IMG.xmp."""

    path: Path
    kind: NameKind


def is_sidecar(name: str) -> bool:
    """Return whether a file name is that of a sidecar."""
    return name[-len(SUFFIX) :].lower() == SUFFIX


def key_of(name: str) -> str:
    """Return a name without the differences that file systems make: case and Unicode normalisation."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


class NameTable:
    """The names in one folder, with the tables that are asked of them."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    @cached_property
    def _sidecars(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for name in self._names:
            if is_sidecar(name):
                found[key_of(name[: -len(SUFFIX)])].append(name)
        return found

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for name in self._names:
            if suffix_of(name) in _SHARING_SUFFIXES:
                found[key_of(_stem(name))].append(name)
        return found

    @cached_property
    def _present(self) -> frozenset[str]:
        return frozenset(self._names)

    def sidecars_of(self, photo: str) -> list[tuple[str, NameKind]]:
        """Return the sidecars of a photo, those that need no comparison of letters first."""
        found: list[tuple[str, NameKind]] = []
        for base, kind in _bases(photo):
            named = self._sidecars.get(key_of(base), [])
            chosen = [name for name in named if self._is_base_of(base, name[: -len(SUFFIX)], kind)]
            found.extend((name, kind) for name in sorted(chosen, key=lambda name: _distance(name, base)))
        return found

    def sharers_of(self, photo: str) -> list[str]:
        """Return the other photos and films whose `IMG.xmp` would be the same, by name."""
        return sorted(name for name in self._by_stem.get(key_of(_stem(photo)), []) if name != photo)

    def numbered_sidecars_of(self, photo: str) -> list[str]:
        """Return the sidecars of darktable's duplicates, by name: IMG_01.jpg.xmp is of IMG.jpg.

        Unless a photo IMG_01.jpg is there, whose own it is.
        """
        stem, suffix = os.path.splitext(photo)  # noqa: PTH122
        return sorted(
            name for name in self._numbered.get((stem, suffix), ()) if name[:-4] not in self._present
        )

    @cached_property
    def _numbered(self) -> dict[tuple[str, str], list[str]]:
        found: dict[tuple[str, str], list[str]] = defaultdict(list)
        for name in self._names:
            if numbered := _NUMBERED.fullmatch(name):
                found[numbered["stem"], numbered["suffix"]].append(name)
        return found

    def usual_kind(self, suffix: str) -> NameKind | None:
        """Return which kind of sidecar most photos with this suffix have here; None without any."""
        counts = self._kinds[suffix]
        if not counts:
            return None
        return "stem" if counts["stem"] > counts["full"] else "full"

    @cached_property
    def _kinds(self) -> dict[str, Counter[NameKind]]:
        counts: dict[str, Counter[NameKind]] = defaultdict(Counter)
        photos = (
            {key_of(name) for names in self._by_stem.values() for name in names} if self._sidecars else ()
        )
        for key in self._sidecars:
            if key in photos:
                counts[suffix_of(key)]["full"] += 1
            for name in self._by_stem.get(key, ()):
                counts[suffix_of(name)]["stem"] += 1
        return counts

    def _is_base_of(self, wanted: str, base: str, kind: NameKind) -> bool:
        """Return whether no other file has exactly the name that this sidecar names."""
        if base == wanted:
            return True
        if kind == "full":
            return base not in self._present
        return all(_stem(name) != base for name in self._by_stem.get(key_of(base), ()))


_kept: dict[str, NameTable] | None = None


@contextlib.contextmanager
def one_listing() -> Iterator[None]:
    """List each folder once while a batch of photos is worked on.

    Sidecars with exactly the usual names are looked for at any time all the same.
    """
    global _kept
    _kept = {}
    try:
        yield
    finally:
        _kept = None


def listing_of(folder: Path) -> NameTable:
    """Return the names in a folder. Raises `OSError`."""
    key = str(folder)
    if _kept is not None and key in _kept:
        return _kept[key]
    listing = NameTable(os.listdir(folder))  # noqa: PTH208 - undecodable names
    if _kept is not None:
        _kept[key] = listing
    return listing


def usual_names(photo: Path) -> tuple[Path, Path]:
    """Return the two names that a photo's sidecar has where nothing else is known."""
    return photo.with_name(photo.name + SUFFIX), photo.with_name(_stem(photo.name) + SUFFIX)


def find_all(photo: Path) -> list[NamedSidecar]:
    """Return the photo's sidecars by their names: `IMG.ext.xmp` first, then `IMG.xmp`.

    Files with exactly these names are found at any time, others with the listing. Raises `OSError`.
    """
    named = listing_of(photo.parent).sidecars_of(photo.name)
    for base, _ in _bases(photo.name):
        exact = base + SUFFIX
        is_known = any(name == exact for name, _ in named)
        if is_known != os.path.lexists(photo.with_name(exact)):
            named = NameTable(os.listdir(photo.parent)).sidecars_of(photo.name)  # noqa: PTH208
            break
    return [NamedSidecar(photo.with_name(name), kind) for name, kind in named]


def _bases(photo: str) -> tuple[tuple[str, NameKind], ...]:
    return (photo, "full"), (_stem(photo), "stem")


def _distance(name: str, base: str) -> tuple[bool, bool, str]:
    return (name[: -len(SUFFIX)] != base, not name.endswith(SUFFIX), name)


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]  # noqa: PTH122 - a string, and many of them
