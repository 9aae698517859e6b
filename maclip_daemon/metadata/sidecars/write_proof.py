"""The proof that a rating is an unedited write of maclip, in the file itself.

A digest over xmp:Rating and our own properties, among them the photo's pixel hash. It holds no secret, but
no other program writes it by chance. It is computed over parsed values, so a file that another program wrote
again in its own way keeps it, and any change of the rating or of our properties breaks it. The percentile is
left out: it moves with the library, and is no reason to write a file again (decision 0022).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from blake3 import blake3

from maclip_daemon.metadata.content import xmp_text
from maclip_daemon.metadata.records import WriteProof
from maclip_daemon.metadata.sidecars import seed

RATING_KEY = "Xmp.xmp.Rating"
OWN_KEYS = f"Xmp.{xmp_text.PREFIX}."
PROOF_KEY = f"{OWN_KEYS}Proof"
PIXEL_HASH_KEY = f"{OWN_KEYS}PixelHash"
LIBRARY_KEY = f"{OWN_KEYS}Library"
PERCENTILE_KEY = f"{OWN_KEYS}Percentile"
_WHOLE = re.compile(r"([+-]?[0-9]{1,9})(?:\.0*)?")
_CONTEXT = "maclip-daemon 2026-11-28 proof of a written rating"  # BLAKE3 derives its key from this text


def digest_of(values: Mapping[str, object]) -> str:
    """Return the proof (hexadecimal) for a file that holds these values, by exiv2 key."""
    return blake3(canonical_text(values).encode("ascii"), derive_key_context=_CONTEXT).hexdigest()


def canonical_text(values: Mapping[str, object]) -> str:
    """Return the JSON text of which the proof is the digest: different values have different texts."""
    fields = {
        key: _canonical(value)
        for key, value in values.items()
        if key.startswith(OWN_KEYS) and key not in (PROOF_KEY, PERCENTILE_KEY) and value is not None
    }
    rating = str(values.get(RATING_KEY, ""))
    return json.dumps([_whole_number(rating), fields], sort_keys=True, separators=(",", ":"))


def holds(values: Mapping[str, object]) -> bool:
    """Return whether a file that holds these values is an unedited write of maclip."""
    present = values.get(PROOF_KEY)
    return present is not None and present == digest_of(values)


def find(values: Mapping[str, object], leaves: xmp_text.Leaves | None) -> WriteProof | None:
    """Return what a file of ours proves; None without a proof that fits.

    `leaves`: a sidecar's content as `xmp_text` reads it; None for a photo.
    """
    if not holds(values):
        return None
    try:
        rating = int(_whole_number(str(values.get(RATING_KEY))))
    except ValueError:
        return None
    return WriteProof(
        rating=rating,
        pixel_hash=_text(values.get(PIXEL_HASH_KEY)),
        library_id=_text(values.get(LIBRARY_KEY)),
        is_whole=leaves is not None and seed.is_whole(leaves, values.get(seed.SEED_KEY)),
    )


def _canonical(value: object) -> object:
    if isinstance(value, list):
        return sorted(str(item) for item in value)  # our lists have no order
    if isinstance(value, dict):
        return {str(key): str(item) for key, item in value.items()}
    return str(value)


def _whole_number(text: str) -> str:
    """Return a rating as it is spelled canonically: 3, 3.0 and +3 are one; 3.5 stays itself."""
    found = _WHOLE.fullmatch(text)
    return str(int(found[1])) if found else text


def _text(value: object) -> str | None:
    return None if value is None else str(value)
