"""darktable's own first star: the rating that it gives to each photo without one when it imports it.

A star that a person pressed looks the same. So such a rating is a person's, unless the person allows to
replace it.
"""

from __future__ import annotations

from maclip_daemon.metadata.records import FoundRating, RatingRequest
from maclip_daemon.metadata.sidecars import ownership

DARKTABLE_KEY = "Xmp.darktable.xmp_version"  # in each sidecar that darktable wrote


def may_be(values: ownership.Values, rating: int | None, stars: int | None) -> bool:
    """Return whether darktable may have given the rating of a sidecar with these values.

    Not where maclip has rated the photo before, nor where another field holds another rating.
    """
    is_rated = rating is not None and rating > 0 and stars is None
    return is_rated and DARKTABLE_KEY in values and ownership.others_agree(values, rating)


def may_replace(found: FoundRating, request: RatingRequest) -> bool:
    """Return whether the request is allowed to replace the rating that was found."""
    return found.is_first_star and found.rating == request.first_star
