"""File names that are photos, and those of pictures that are passed over. Imports nothing heavy."""

from __future__ import annotations

import enum

from maclip_daemon.files.suffixes import RAW_SUFFIXES, suffix_of


class Family(enum.Enum):
    """What the name of a file promises. Its content decides how it is read."""

    STILL = "JPEG, PNG, TIFF, WebP, HEIC, AVIF or JPEG XL"
    RAW = "camera RAW"
    BITMAP = "BMP"
    """No photo: the daemon passes it over. Evaluation data sets (TID2013, PIPAL) are published in it."""


_STILL = (
    *("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "tif", "tiff", "webp"),
    *("heic", "heif", "hif", "avif", "jxl"),  # hif: what Canon and Sony cameras write
)

SUFFIXES: dict[str, Family] = {f".{suffix}": Family.STILL for suffix in _STILL} | dict.fromkeys(
    RAW_SUFFIXES, Family.RAW
)
"""Every suffix that makes a file a photo, in lower case with its dot."""

PASSED_OVER: dict[str, str] = {
    **dict.fromkeys((".gif",), "GIF"),
    **dict.fromkeys((".bmp", ".dib"), "BMP"),
    **dict.fromkeys((".psd", ".psb"), "Photoshop"),
    **dict.fromkeys((".jp2", ".j2k", ".j2c", ".jpf", ".jpx", ".jpm"), "JPEG 2000"),
    **dict.fromkeys((".jxr", ".wdp", ".hdp"), "JPEG XR"),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), "PNM"),
    **dict.fromkeys((".tga",), "TGA"),
    **dict.fromkeys((".exr",), "OpenEXR"),
    **dict.fromkeys((".hdr",), "Radiance HDR"),
    **dict.fromkeys((".xcf",), "GIMP"),
    **dict.fromkeys((".kra",), "Krita"),
    **dict.fromkeys((".afphoto",), "Affinity Photo"),
    # RAW that LibRaw does not read, or that no suffix tells from other files.
    **dict.fromkeys((".raw", ".rwz", ".cap", ".eip", ".ptx", ".pxn", ".bay", ".dcs", ".drf"), "other RAW"),
}
"""Pictures that are counted but not scored: suffix → the name that is spoken."""


def family_of(name: str) -> Family | None:
    """Return what a file of this name promises to hold; None when its suffix is not known."""
    suffix = suffix_of(name)
    return Family.BITMAP if suffix == ".bmp" else SUFFIXES.get(suffix)


def is_photo(name: str) -> bool:
    """Return whether a file of this name counts as a photo."""
    return suffix_of(name) in SUFFIXES


def is_raw(name: str) -> bool:
    """Return whether a file of this name is a camera RAW."""
    return family_of(name) is Family.RAW


def passed_over_kind(name: str) -> str | None:
    """Return the kind of picture that a file of this name is and that is not scored; None for others."""
    return PASSED_OVER.get(suffix_of(name))
