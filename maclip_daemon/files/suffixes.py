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


def suffix_of(name: str) -> str:
    """Return the suffix of a name or path in lower case with its dot; '' for none, as in `.jpg`."""
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - a string, and millions of them
