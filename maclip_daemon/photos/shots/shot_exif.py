"""The facts of a shot, read from EXIF in the decoder process (Exif 2.32, section 4.6.5)."""

from __future__ import annotations

import math
from typing import Any

from PIL import ExifTags, Image

from maclip_daemon.photos.exif import EXIF_ERRORS, text_of
from maclip_daemon.photos.shots.shot_info import LARGEST, LONGEST_TEXT, ShotInfo

_AUTO_BRACKET = 2  # of ExposureMode
_TEXTS = {
    "make": ExifTags.Base.Make,
    "model": ExifTags.Base.Model,
    "serial": ExifTags.Base.BodySerialNumber,
    "lens": ExifTags.Base.LensModel,
}
_NUMBERS = {
    "exposure_s": ExifTags.Base.ExposureTime,
    "aperture": ExifTags.Base.FNumber,
    "iso": ExifTags.Base.ISOSpeedRatings,
    "bias_ev": ExifTags.Base.ExposureBiasValue,
    "focal_mm": ExifTags.Base.FocalLength,
}
_CAMERA_SERIAL_NUMBER = 0xC62F  # DNG's, in the first directory


def shot_info_from(*sources: Image.Exif | None) -> ShotInfo:
    """Return what the first of these EXIF blocks notes; each gap is filled from the next."""
    found: dict[str, Any] = {}
    for exif in sources:
        for name, value in _read(exif).items():
            found.setdefault(name, value)
    return ShotInfo(**found)


def _read(exif: Image.Exif | None) -> dict[str, Any]:
    if exif is None:
        return {}
    try:
        first = {tag: exif.get(tag) for tag in (*_TEXTS.values(), _CAMERA_SERIAL_NUMBER)}
        directory = exif.get_ifd(ExifTags.IFD.Exif)
    except EXIF_ERRORS:
        return {}
    found: dict[str, Any] = {}
    for name, tag in _TEXTS.items():
        found[name] = _short(first.get(tag)) or _short(directory.get(tag))
    found["serial"] = found["serial"] or _short(first.get(_CAMERA_SERIAL_NUMBER))
    for name, tag in _NUMBERS.items():
        found[name] = _number(directory.get(tag), least=None if name == "bias_ev" else 0.0)
    found["is_bracketed"] = directory.get(ExifTags.Base.ExposureMode) == _AUTO_BRACKET or None
    return {name: value for name, value in found.items() if value is not None}


def _short(value: object) -> str | None:
    """Return a text without padding or control characters; None when nothing is left."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text_of(value))
    return " ".join(printable.split())[:LONGEST_TEXT].strip() or None


def _number(value: object, least: float | None) -> float | None:
    """Return a finite number above `least`; None for anything else, a division by zero too."""
    if isinstance(value, tuple) and value:
        value = value[0]
    try:
        number = float(value)  # type: ignore[arg-type]
    except EXIF_ERRORS:
        return None
    is_sound = math.isfinite(number) and abs(number) <= LARGEST and (least is None or number > least)
    return round(number, 7) if is_sound else None
