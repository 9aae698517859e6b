"""Suffixes of file names."""

from __future__ import annotations

import os

RAW_SUFFIXES = (
    *(".dng", ".gpr"),  # Adobe and many phones; GoPro
    *(".cr2", ".cr3", ".crw"),  # Canon
    *(".nef", ".nrw"),  # Nikon
    *(".arw", ".sr2", ".srf"),  # Sony
    *(".raf", ".orf", ".rw2", ".rwl"),  # Fujifilm, Olympus and OM System, Panasonic, Leica
    *(".pef", ".srw", ".x3f"),  # Pentax, Samsung, Sigma
    *(".3fr", ".fff", ".iiq", ".mos", ".mef"),  # Hasselblad, Imacon, Phase One, Leaf, Mamiya
    *(".mrw", ".kdc", ".dcr", ".erf"),  # Minolta, Kodak, Epson
)
"""Camera RAW files, in lower case with the dot. A new one goes here, and nowhere else."""

PICTURE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".tif", ".tiff", ".webp"),
    *(".heic", ".heif", ".hif", ".avif", ".jxl", ".jp2", ".gif", ".bmp", ".psd"),
)
"""Still pictures that may share a sidecar with a photo; not all of them are decoded."""

FILM_SUFFIXES = (
    *(".mov", ".mp4", ".m4v", ".3gp", ".avi", ".mkv", ".webm", ".wmv", ".mpg", ".mpeg"),
    *(".mts", ".m2ts", ".mxf", ".insv", ".lrv", ".360"),
)
"""Films, which may share a sidecar with a photo: the moving part of an iPhone's Live Photo is one."""


def suffix_of(name: str) -> str:
    """Return the suffix of a name or path in lower case with its dot; '' for none, as in `.jpg`."""
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - a string, and millions of them
