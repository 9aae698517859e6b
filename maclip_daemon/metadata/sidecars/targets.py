"""Which file carries a photo's rating: the naming conventions of darktable, digiKam, Lightroom and Immich.

darktable and Immich write `IMG.jpg.xmp`, Lightroom and Capture One `IMG.xmp`, digiKam the one that its
settings name. A sidecar that is there is updated. A second one is made only beside one that holds nothing but
our own properties and what the photo holds: beside any other it would hide what that one says.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from maclip_daemon.errors import WriteRefused
from maclip_daemon.files.suffixes import suffix_of
from maclip_daemon.metadata.records import Mode, NameKind
from maclip_daemon.metadata.sidecars import sidecar_names

_EMBEDDABLE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp"})
_NAME_LIMIT = 255  # bytes; of every usual file system. eCryptfs allows less, and its error is reported
# darktable calls the sidecars of a photo's duplicates IMG_01.jpg.xmp, with two digits or more.
_DUPLICATE = re.compile(r"(?P<base>.+)_\d{2,}(?P<suffix>\.[^.]+)", re.DOTALL)


@dataclass(frozen=True)
class Target:
    """The file that is to carry a rating where there is no sidecar yet."""

    path: Path
    kind: Literal["sidecar", "embed"]
    note: str = ""
    """Why a sidecar was chosen although embedding was asked for."""


def is_rating_file(file: Path) -> bool:
    """Return whether maclip ever writes a file of this name: a sidecar or an embeddable photo."""
    return sidecar_names.is_sidecar(file.name) or suffix_of(file.name) in _EMBEDDABLE_SUFFIXES


def choose(photo: Path, mode: Mode, asked: NameKind | None) -> Target:
    """Choose the target for a photo without a sidecar of its own. Raises `WriteRefused` with the reason.

    `asked`: the name of new sidecars; None as most photos of this kind have it in this folder.
    """
    note = ""
    if mode == "embed":
        note = _why_not_embed(photo)
        if not note:
            return Target(photo, "embed")
    listing = sidecar_names.listing_of(photo.parent)
    if asked is None:
        asked = listing.usual_kind(suffix_of(photo.name))
    stem = photo.stem + sidecar_names.SUFFIX
    if asked == "stem" and not listing.sharers_of(photo.name):
        return Target(_named(photo, stem), "sidecar", note)
    refuse_name_of_a_duplicate(photo)
    return Target(_named(photo, photo.name + sidecar_names.SUFFIX), "sidecar", note)


def _named(photo: Path, name: str) -> Path:
    if len(os.fsencode(name)) > _NAME_LIMIT:
        raise WriteRefused(
            f"The name of {photo} is too long for a sidecar: with .xmp it has more than {_NAME_LIMIT} bytes. "
            "Rename the photo to something shorter."
        )
    return photo.with_name(name)


def refuse_name_of_a_duplicate(photo: Path) -> None:
    """Raise `WriteRefused` where darktable takes this sidecar for a duplicate of another photo."""
    found = _DUPLICATE.fullmatch(photo.name)
    if found and os.path.lexists(original := photo.with_name(found["base"] + found["suffix"])):
        raise WriteRefused(
            f"darktable takes the sidecar {photo.name}.xmp for a duplicate of {original.name}, so none is "
            f"written for {photo}. Rename one of the two photos to have it rated."
        )


def _why_not_embed(photo: Path) -> str:
    """Return a reason against embedding; '' when the name and the file system allow it."""
    if suffix_of(photo.name) not in _EMBEDDABLE_SUFFIXES:
        return "only JPEG, PNG and WebP carry embedded ratings: a sidecar is used"
    if photo.lstat().st_nlink > 1:
        return "the photo has several names (hard links), which embedding would tear apart: a sidecar is used"
    return ""
