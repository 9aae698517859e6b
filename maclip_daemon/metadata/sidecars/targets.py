"""Which file carries a photo's rating: the naming conventions of darktable, digiKam, Lightroom and Immich.

darktable and Immich write `IMG.jpg.xmp`, Lightroom and Capture One `IMG.xmp`. An existing sidecar of either
kind is updated, and a second one never created, because the applications disagree on which of two wins.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from maclip_daemon.errors import FileChanged, WriteRefused
from maclip_daemon.files import symlinks
from maclip_daemon.files.suffixes import RAW_SUFFIXES, suffix_of
from maclip_daemon.metadata.records import Mode

# A RAW shares a Lightroom sidecar with its JPEG; `.raw` (Leica, Panasonic) too, though not decoded here.
_SHARING_SUFFIXES = frozenset({*RAW_SUFFIXES, ".raw"})
_EMBEDDABLE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp"})
_SIDECAR_SUFFIXES = (".xmp", ".XMP")
_NAME_LIMIT = 255  # bytes; of every usual file system. eCryptfs allows less, and its error is reported
# darktable calls the sidecars of a photo's duplicates IMG_01.jpg.xmp, with two to four digits.
_DUPLICATE = re.compile(r"(?P<base>.+)_\d{2,4}(?P<suffix>\.[^.]+)", re.DOTALL)


@dataclass(frozen=True)
class Target:
    """The file that carries the rating."""

    path: Path
    kind: Literal["sidecar", "embed"]
    exists: bool
    note: str = ""
    """Why a sidecar was chosen although embedding was asked for."""


def is_sidecar(name: str) -> bool:
    """Return whether a file name is that of a sidecar."""
    return name.lower().endswith(".xmp")


def is_rating_file(file: Path) -> bool:
    """Return whether maclip ever writes a file of this name: a sidecar or an embeddable photo."""
    return is_sidecar(file.name) or suffix_of(file.name) in _EMBEDDABLE_SUFFIXES


def find_sidecar(photo: Path) -> Path | None:
    """Return the photo's sidecar: `IMG.ext.xmp` first, else `IMG.xmp`; also with the suffix `.XMP`."""
    for stem in (photo.name, photo.stem):
        for suffix in _SIDECAR_SUFFIXES:
            candidate = photo.with_name(stem + suffix)
            if os.path.lexists(candidate):
                return candidate
    return None


def choose(photo: Path, mode: Mode) -> Target:
    """Choose the target for a photo.

    Raises `WriteRefused` with the reason when no file may carry this photo's rating, `FileChanged` when the
    photo is gone.
    """
    if not os.path.lexists(photo):
        raise FileChanged(f"{photo} is gone.")
    symlinks.require_regular_photo(photo)
    sidecar = find_sidecar(photo)
    if sidecar is not None:
        return _existing(photo, sidecar)
    note = ""
    if mode == "embed":
        note = _why_not_embed(photo)
        if not note:
            return Target(photo, "embed", exists=True)
    sidecar = photo.with_name(photo.name + ".xmp")
    if len(os.fsencode(sidecar.name)) > _NAME_LIMIT:
        raise WriteRefused(
            f"The name of {photo} is too long for a sidecar: with .xmp it has more than {_NAME_LIMIT} bytes. "
            "Rename the photo to something shorter."
        )
    _refuse_name_of_a_duplicate(photo)
    return Target(sidecar, "sidecar", exists=False, note=note)


def _existing(photo: Path, sidecar: Path) -> Target:
    if not stat.S_ISREG(sidecar.lstat().st_mode):
        raise WriteRefused(
            f"{sidecar} is a symbolic link or not a regular file and is left alone. "
            "Put a regular file in its place to have the photo rated."
        )
    if len(sidecar.name) > len(photo.name):
        _refuse_name_of_a_duplicate(photo)
    elif suffix_of(photo.name) not in _SHARING_SUFFIXES and (raw := _raw_sibling(photo)):
        raise WriteRefused(
            f"{sidecar.name} is shared by {raw} and {photo}; only the RAW's score goes into it. "
            f"A sidecar of its own, {photo.name}.xmp, would hold the other's rating."
        )
    return Target(sidecar, "sidecar", exists=True)


def _refuse_name_of_a_duplicate(photo: Path) -> None:
    found = _DUPLICATE.fullmatch(photo.name)
    if found and os.path.lexists(original := photo.with_name(found["base"] + found["suffix"])):
        raise WriteRefused(
            f"darktable takes the sidecar {photo.name}.xmp for a duplicate of {original.name}, so none is "
            f"written for {photo}. Rename one of the two photos to have it rated."
        )


def _raw_sibling(photo: Path) -> str | None:
    for suffix in _SHARING_SUFFIXES:
        for spelling in (suffix, suffix.upper()):
            if os.path.lexists(photo.with_name(f"{photo.stem}{spelling}")):
                return f"{photo.stem}{spelling}"
    return None


def _why_not_embed(photo: Path) -> str:
    """Return a reason against embedding; '' when the name and the file system allow it."""
    if suffix_of(photo.name) not in _EMBEDDABLE_SUFFIXES:
        return "only JPEG, PNG and WebP carry embedded ratings: a sidecar is used"
    found = photo.lstat()
    if not stat.S_ISREG(found.st_mode):
        return "the photo is not a regular file: a sidecar is used"
    if found.st_nlink > 1:
        return "the photo has several names (hard links), which embedding would tear apart: a sidecar is used"
    return ""
