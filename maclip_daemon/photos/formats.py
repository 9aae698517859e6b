"""File names that are photos, and the families of readers that open them. Imports nothing heavy."""

from __future__ import annotations

import enum

from maclip_daemon.files.suffixes import RAW_SUFFIXES, suffix_of


class Family(enum.Enum):
    """Readers that replace each other: a file may hold another format of its family, no other."""

    STILL = "JPEG, PNG, TIFF or WebP"
    HEIF = "HEIC, HEIF or AVIF"
    RAW = "camera RAW"
    BITMAP = "BMP"
    """No photo: the daemon leaves it alone. Evaluation data sets (TID2013, PIPAL) are published in it."""


_STILL = ("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "tif", "tiff", "webp")
_HEIF = ("heic", "heif", "hif", "avif")  # hif: what Canon and Sony cameras write

SUFFIXES: dict[str, Family] = (
    {f".{suffix}": Family.STILL for suffix in _STILL}
    | {f".{suffix}": Family.HEIF for suffix in _HEIF}
    | dict.fromkeys(RAW_SUFFIXES, Family.RAW)
)
"""Every suffix that makes a file a photo, in lower case with its dot."""


def family_of(name: str) -> Family | None:
    """Return the family of readers for a file of this name; None when its suffix is not known."""
    suffix = suffix_of(name)
    return Family.BITMAP if suffix == ".bmp" else SUFFIXES.get(suffix)


def is_photo(name: str) -> bool:
    """Return whether a file of this name counts as a photo."""
    return suffix_of(name) in SUFFIXES


def is_raw(name: str) -> bool:
    """Return whether a file of this name is a camera RAW."""
    return family_of(name) is Family.RAW
