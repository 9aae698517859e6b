"""Whose rating is it? A rating that a person gave is never changed.

Unrated is absent or 0 (a Canon R6 writes 0 into every file), unless our maclip:Stars show that somebody took
our stars away. Ours is an xmp:Rating that the file itself proves to be an unedited write of maclip
(`write_proof`). Files of earlier versions have no proof: there it must equal both our last recorded write and
our own maclip:Stars in the file. Anything else is a person's, also when it is only in another field: Windows'
MicrosoftPhoto:Rating and EXIF RatingPercent, ACDSee's, EXIF Rating, or the maker note of a camera with a
rating button (Fujifilm). darktable and digiKam do not read the maker note, but whoever pressed that button
meant it. A decision of the review page says so itself (`maclip:Decision`), also where it confirms our stars.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from maclip_daemon.metadata.records import COPY_SOURCES, REJECTED, CopySource, Owner
from maclip_daemon.metadata.sidecars import write_proof
from maclip_daemon.metadata.sidecars.write_proof import RATING_KEY as RATING_KEY

Values = Mapping[str, object]

PERCENT_OF_STARS = {0: 0, 1: 1, 2: 25, 3: 50, 4: 75, 5: 99}  # what Windows Explorer writes for its stars
STARS_KEY = "Xmp.maclip.Stars"
SCORE_KEY = "Xmp.maclip.Score"
FOLLOWED_KEY = "Xmp.maclip.Followed"
PERCENT_KEYS = ("Xmp.MicrosoftPhoto.Rating", "Exif.Image.RatingPercent")
PLAIN_KEYS = ("Xmp.acdsee.rating", "Exif.Image.Rating")
DECISION_KEY = "Xmp.maclip.Decision"
PICK_LABEL_KEY = "Xmp.digiKam.PickLabel"
PICK_KEY, GOOD_KEY = "Xmp.xmpDM.pick", "Xmp.xmpDM.good"
_DIGIKAM_REJECTED = 1  # 0 none, 2 pending, 3 accepted
_MAKER_NOTE = re.compile(r"Exif\.(?!Image|Photo)\w+\.Rating")


def owner_of(values: Values, last_written: int | None) -> tuple[Owner, int | None, int | None]:
    """Return owner, rating and our own stars, from `values` by exiv2 key, XMP and EXIF together.

    `last_written` is the rating of our last recorded write to this photo, or None. The rating is -1 to 5;
    None without a rating field. A text that is no number counts as a person's 0.
    """
    stars = _stars(values.get(STARS_KEY))
    main = _stars(values.get(RATING_KEY))
    if is_rejected(values):
        return "person", REJECTED, stars
    others = [rating for rating in _other_ratings(values) if rating]
    if DECISION_KEY in values:  # a person decided in the review page, whatever stars maclip had given
        return "person", main or next(iter(others), 0), stars
    if main:
        in_step = main == stars and all(rating == main for rating in others) and not _has_empty_field(values)
        # Over our copy of a person's star even the star that maclip had given was pressed by somebody.
        may_be_ours = in_step and FOLLOWED_KEY not in values
        ours = may_be_ours and (main == last_written or write_proof.holds(values))
        return ("maclip" if ours else "person"), main, stars
    if others:
        return "person", others[0], stars
    if main is None and str(values.get(RATING_KEY) or "").strip():  # no number
        return "person", 0, stars
    if are_stars_taken_away(values):
        return "person", 0, stars
    return "none", main, stars


def score_of(values: Values) -> float | None:
    """Return the score that maclip wrote beside its stars; None without one."""
    return _number(values.get(SCORE_KEY))


def followed_text(rating: int, source: CopySource) -> str:
    """Return `maclip:Followed`: a person's rating that we copied into a sidecar, and from where."""
    return f"{rating} {source}"


def copy_source(values: Values, rating: int | None) -> CopySource | None:
    """Return from where we copied a person's rating into a sidecar; None where it is no unchanged copy."""
    if not others_agree(values, rating or 0):
        return None
    present = values.get(FOLLOWED_KEY)
    return next((each for each in COPY_SOURCES if present == followed_text(rating or 0, each)), None)


def others_agree(values: Values, rating: int | None) -> bool:
    """Return whether every other rating field is empty or has this rating too."""
    return all(other in (0, rating) for other in _other_ratings(values))


def are_stars_taken_away(values: Values) -> bool:
    """Return whether a person removed the stars that we wrote, or set them to none, in every field."""
    is_rated = bool(_stars(values.get(RATING_KEY))) or any(_other_ratings(values))
    return _stars(values.get(STARS_KEY)) is not None and not is_rated


def is_rejected(values: Values) -> bool:
    """Return whether a person rejected the photo in a field of digiKam's or of Lightroom's and Premiere's."""
    if _stars(values.get(PICK_LABEL_KEY)) == _DIGIKAM_REJECTED:
        return True
    pick = _stars(values.get(PICK_KEY))
    return pick == REJECTED or (pick is None and str(values.get(GOOD_KEY)).lower() == "false")


def synchronized_fields(values: Values, rating: int) -> dict[str, str]:
    """Return the values of the other rating fields in `values` that go with an xmp:Rating of `rating`.

    Only fields that are present. They know no reject, so a rejected photo is unrated in them.
    """
    plain = 0 if rating == REJECTED else rating
    fields = {key: str(plain) for key in PLAIN_KEYS if key in values}
    fields.update({key: str(PERCENT_OF_STARS[plain]) for key in PERCENT_KEYS if key in values})
    return fields


def _other_ratings(values: Values) -> Iterator[int]:
    for key in PLAIN_KEYS:
        yield _stars(values.get(key)) or 0
    for key in PERCENT_KEYS:
        yield _stars_of_percent(_number(values.get(key)) or 0)
    for key, value in values.items():
        if _MAKER_NOTE.fullmatch(key):
            yield _stars(value) or 0


def _has_empty_field(values: Values) -> bool:
    """Return whether a field that our writes keep in step says "no stars": somebody took them away there."""
    present = [values[key] for key in (*PLAIN_KEYS, *PERCENT_KEYS) if key in values]
    return any(_number(value) == 0 for value in present)


def _stars_of_percent(percent: float) -> int:
    if percent <= 0:
        return 0
    return min(5, 1 + int(percent + 12) // 25)  # nearest of 1, 25, 50, 75, 99


def _stars(value: object) -> int | None:
    """Return a rating from -1 to 5 as darktable 5.4 reads it, the nearest one; None for other text.

    A fraction of the first star is one star: somebody pressed it.
    """
    number = _number(value)
    if number is None:
        return None
    return max(REJECTED, min(5, math.floor(number + 0.5) or math.ceil(number)))


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
