"""Our properties: one score in XMP.

Numbers and times are formatted so that writing the same score again changes no byte.
"""

from __future__ import annotations

import re
from datetime import UTC

from maclip_daemon.metadata.content.xmp_text import PREFIX, Wanted
from maclip_daemon.metadata.records import CopySource, RatingRequest
from maclip_daemon.metadata.sidecars import bucket_tags, ownership, seed, write_proof

_REASONS_KEY = f"Xmp.{PREFIX}.Reasons"
_WHERE_PROVEN = frozenset(
    {write_proof.PROOF_KEY, write_proof.LIBRARY_KEY, f"Xmp.{PREFIX}.ScoredAt", _REASONS_KEY}
)
_NOT_IN_XML = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def wanted(request: RatingRequest, present: ownership.Values) -> Wanted:
    """Return the values by exiv2 key for a file that holds `present`; None removes a property.

    They include xmp:Rating, the file's other rating fields, the bucket tags, and the proof.
    """
    quality = request.quality
    texts: dict[str, str | None] = {
        "Score": f"{quality.score:.6f}",
        "Percentile": None if quality.percentile is None else f"{quality.percentile:.2f}",
        "Stars": str(request.rating),
        "Metric": _clean(quality.metric),
        "Model": _clean(quality.model),
        "Protocol": _clean(quality.protocol),
        "ScoredAt": quality.scored_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "PixelHash": request.pixel_hash,
        "Library": request.library_id,
        "Followed": None,
        "Decision": None,
        "BurstID": request.burst_id,
        "BurstRank": None if request.burst_rank is None else str(request.burst_rank),
    }
    values: Wanted = {f"Xmp.{PREFIX}.{name}": text for name, text in texts.items()}
    values[_REASONS_KEY] = [_clean(each) for each in quality.reasons] or None
    values[ownership.RATING_KEY] = str(request.rating)
    values.update(ownership.synchronized_fields(present, request.rating))
    bucket = bucket_tags.bucket_of(quality.percentile) if request.bucket_tags else None
    values.update(bucket_tags.wanted_lists(present, bucket, is_best=request.is_tagged_best))
    values[write_proof.PROOF_KEY] = write_proof.digest_of({**present, **values})
    return values


def following(rating: int, present: ownership.Values, source: CopySource) -> Wanted:
    """Return the values by exiv2 key that bring a file of ours in step with a person's rating elsewhere.

    Our score stays beside it: that the two differ shows later whose rating it is. `maclip:Followed` tells
    that the rating is a copy, so that it follows the person's next change. `source`: where that one is.
    """
    return {
        ownership.RATING_KEY: str(rating),
        ownership.FOLLOWED_KEY: ownership.followed_text(rating, source),
        **ownership.synchronized_fields(present, rating),
    }


def with_seed(values: Wanted, present: ownership.Values, items: list[str]) -> Wanted:
    """Return the wanted values with these items of `maclip:Seed`; without any, the property is removed.

    Values with a proof get the one that fits.
    """
    changed: Wanted = {**values, seed.SEED_KEY: items or None}
    if values.get(write_proof.PROOF_KEY, write_proof.holds(present)):
        changed[write_proof.PROOF_KEY] = write_proof.digest_of({**present, **changed})
    return changed


def is_up_to_date(present: ownership.Values, values: Wanted) -> bool:
    """Return whether the file holds these values, so that nothing needs to be written.

    A new percentile alone, with the same stars and score, is no reason to write a file. Nor are the
    reasons, the time of scoring or another library's id where a proof holds, or two libraries in one folder
    would answer each other without end. A missing proof is a reason.
    """
    indifferent = _WHERE_PROVEN if write_proof.holds(present) else frozenset[str]()
    return all(
        present.get(key) == value
        or key in indifferent
        or (key == write_proof.PERCENTILE_KEY and value and key in present)
        or (key == write_proof.PIXEL_HASH_KEY and indifferent and (value is None or key not in present))
        for key, value in values.items()
    )


def _clean(text: str) -> str:
    """Replace characters that XML cannot hold; a model may be named after a file's path."""
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)
