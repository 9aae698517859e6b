"""Tags of ICC profiles that Pillow does not show (ICC.1:2022)."""

from __future__ import annotations

import struct

_HEADER_BYTES = 128
_MOST_TAGS = 100


def colour_space(profile: bytes) -> str:
    """Return the colours that a profile describes: `RGB`, `GRAY`, `CMYK`, `Lab` …; '' without a header."""
    return profile[16:20].decode("latin-1").strip() if profile[36:40] == b"acsp" else ""


def cicp_of_icc(profile: bytes) -> tuple[int, int] | None:
    """Return (primaries, transfer) of the `cicp` tag, as numbers of ITU-T H.273; None without one."""
    if len(profile) < _HEADER_BYTES + 4:
        return None
    (count,) = struct.unpack_from(">I", profile, _HEADER_BYTES)
    for number in range(min(count, _MOST_TAGS)):
        entry = _HEADER_BYTES + 4 + 12 * number
        if entry + 12 > len(profile):
            return None
        kind, offset, length = struct.unpack_from(">4sII", profile, entry)
        if kind == b"cicp" and length >= 12 and offset + 12 <= len(profile):
            return profile[offset + 8], profile[offset + 9]
    return None
