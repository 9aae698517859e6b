"""Whose is an `IMG.xmp` when several photos, or a photo and a film, are called IMG?

The wrong one's rating must never count as this photo's, and this photo's stars must never go into the wrong
one's file. Lightroom names the file in `photoshop:SidecarForExtension`; others show it by what they hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maclip_daemon.files.suffixes import FILM_SUFFIXES, RAW_SUFFIXES, suffix_of
from maclip_daemon.metadata.sidecars import ownership, sidecar_names

# A RAW shares a Lightroom sidecar with its JPEG; `.raw` (Leica, Panasonic) too, though not decoded here.
_RAW = frozenset({*RAW_SUFFIXES, ".raw"})
_FILM = frozenset(FILM_SUFFIXES)
_EXTENSION_KEY = "Xmp.photoshop.SidecarForExtension"
_FORMAT_KEY = "Xmp.dc.format"
_OF_FILMS = ("Xmp.xmpDM.video", "Xmp.xmpDM.audio", "Xmp.xmpDM.start", "Xmp.xmpDM.duration")
_OF_PICTURES = ("Xmp.crs.", "Xmp.darktable.", "Xmp.tiff.", "Xmp.exif.", "Xmp.exifEX.", "Xmp.aux.")
_SUFFIXES_OF_FORMATS = {
    "jpeg": {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"},
    "heic": {".heic", ".heif", ".hif"},
    "heif": {".heic", ".heif", ".hif"},
    "tiff": {".tif", ".tiff"},
    "vnd.adobe.photoshop": {".psd"},
}


@dataclass(frozen=True)
class Claim:
    """Whether a shared sidecar counts as a photo's."""

    is_read: bool
    """Its rating counts for this photo."""
    refusal: str = ""
    """Why this photo's stars do not go into it, nor into a sidecar of its own that would hide it."""


OWN = Claim(is_read=True)
ANOTHERS = Claim(is_read=False)


def claim(photo: Path, sidecar: Path, sharers: Sequence[str], values: ownership.Values) -> Claim:
    """Return whether `sidecar`, which holds `values`, is this photo's or one of the `sharers`'."""
    if not sharers:
        return OWN
    if (named := _named_suffixes(values)) and any(
        suffix_of(name) in named for name in [photo.name, *sharers]
    ):
        return OWN if suffix_of(photo.name) in named else ANOTHERS
    if suffix_of(photo.name) not in _RAW and (raw := _first(sharers, _RAW)):
        return Claim(
            False,
            f"{sidecar.name} is shared by {raw} and {photo}; only the RAW's score goes into it. "
            f"A sidecar of its own, {photo.name}.xmp, would hold the other's rating.",
        )
    if (film := _first(sharers, _FILM)) and ownership.STARS_KEY not in values:
        is_film = any(key.startswith(_OF_FILMS) for key in values)
        if is_film:
            return ANOTHERS
        if not any(key.startswith(_OF_PICTURES) for key in values):
            return Claim(
                True,
                f"{photo} is not rated: its sidecar {sidecar.name} may belong to the film {film}. "
                f"Rename it to {photo.name}.xmp or {film}.xmp.",
            )
    first = min((name for name in [photo.name, *sharers] if _may_lead(photo, name)), key=_order)
    if first == photo.name:
        return OWN
    return Claim(
        False,
        f"{photo} is not rated: it shares the sidecar {sidecar.name} with {first}, and the stars of {first} "
        f"go into it. Rename one of the two photos to have both rated.",
    )


def _named_suffixes(values: ownership.Values) -> set[str]:
    """Return the suffixes of the file that the sidecar itself names; empty when it names none."""
    if extension := str(values.get(_EXTENSION_KEY) or "").strip().lower():
        return {f".{extension.removeprefix('.')}"}
    kind, _, form = str(values.get(_FORMAT_KEY) or "").strip().lower().partition("/")
    if kind == "video":
        return set(_FILM)
    if kind != "image" or not form:
        return set()
    return _SUFFIXES_OF_FORMATS.get(form, {f".{form.rpartition('-')[2]}"})


def _first(names: Sequence[str], suffixes: frozenset[str]) -> str | None:
    return next((name for name in names if suffix_of(name) in suffixes), None)


def _may_lead(photo: Path, name: str) -> bool:
    """Return whether the shared sidecar may be this one's: no film, and no other sidecar of its own."""
    if name == photo.name:
        return True
    if suffix_of(name) in _FILM:
        return False
    return not any(each.kind == "full" for each in sidecar_names.find_all(photo.with_name(name)))


def _order(name: str) -> tuple[bool, str, str]:
    return (suffix_of(name) not in _RAW, sidecar_names.key_of(name), name)
