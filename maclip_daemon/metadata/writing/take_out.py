"""What is ours is taken out of a file that another program wrote since; everything else stays.

Ours are the properties of our namespace, the bucket tags, and the rating with its synchronized fields while
it is the one that we wrote. What a new sidecar copied from its photo stays, or the sidecar would hide it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from maclip_daemon.errors import WriteRefused
from maclip_daemon.metadata.content import exiv2_tags, xmp_document, xmp_encoding, xmp_text
from maclip_daemon.metadata.content.xmp_text import Wanted
from maclip_daemon.metadata.records import REJECTED
from maclip_daemon.metadata.sidecars import bucket_tags, ownership, seed, sidecar_names, write_proof
from maclip_daemon.metadata.writing import verification


@dataclass(frozen=True)
class Remainder:
    """What is left of a file without what is ours."""

    data: bytes | None
    """The new bytes; None where nothing of others' is left in a sidecar that maclip made."""
    persons_rating: int | None
    """The rating that a person gave, which stays; 0 where the person took our stars away."""


def remainder(target: Path, data: bytes, *, is_created: bool) -> Remainder | None:
    """Return what is left of a file; None where it holds nothing of ours.

    `is_created`: whether maclip made this sidecar, as the journal knows it; the file itself may show it too.
    Raises `WriteRefused` (half a sentence, "it …") when others' content cannot be kept.
    """
    if sidecar_names.is_sidecar(target.name):
        return _of_sidecar(target, data, is_created=is_created)
    with exiv2_tags.open_bytes(data) as image:
        exiv2_tags.check_prefixes(image)
        values = exiv2_tags.read_exif(image) | exiv2_tags.read_xmp(image)
    wanted, persons_rating = _changes(values)
    if not wanted:
        return None
    new = exiv2_tags.change_photo(data, wanted)
    verification.verify_photo(target, data, new, values, wanted)
    return Remainder(new, persons_rating)


def _of_sidecar(target: Path, data: bytes, *, is_created: bool) -> Remainder | None:
    data = xmp_encoding.with_usual_namespaces(xmp_encoding.to_utf8(data))
    leaves = xmp_text.read(data)
    with exiv2_tags.open_bytes(data) as image:
        values = exiv2_tags.read_xmp(image)
    wanted, persons_rating = _changes(values)
    if not wanted:
        return None
    if xmp_text.has_comments(data):
        raise WriteRefused("it has comments, which exiv2 would not keep")
    if persons_rating is None and seed.is_whole(leaves, values.get(seed.SEED_KEY)):
        return Remainder(None, None)
    if not verification.applied(leaves, wanted):
        is_created = is_created or seed.SEED_KEY in values
        return Remainder(None if is_created else xmp_document.EMPTY, persons_rating)
    new = exiv2_tags.change_sidecar(data, wanted)
    verification.verify_sidecar(target, values, leaves, new, wanted)
    return Remainder(new, persons_rating)


def _changes(values: exiv2_tags.Values) -> tuple[Wanted, int | None]:
    """Return what to take out, and the rating that a person gave."""
    wanted: Wanted = {key: None for key in values if key.startswith(write_proof.OWN_KEYS)}
    wanted.update(bucket_tags.wanted_lists(values, None))
    _, _, stars = ownership.owner_of(values, None)
    owner, rating, _ = ownership.owner_of(values, stars)
    if owner == "maclip":
        wanted[ownership.RATING_KEY] = None
        wanted.update(ownership.synchronized_fields(values, REJECTED))
        return wanted, None
    return wanted, rating if owner == "person" else None
