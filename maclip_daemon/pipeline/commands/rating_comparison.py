"""Compare the rating that a photo's files hold with the one that the library has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from maclip_daemon.library.queries.recorded_photos import RecordedPhoto
from maclip_daemon.metadata.records import FoundRating
from maclip_daemon.pipeline.commands.disagreement import Cures, FileDisagreement

_DECIMALS = 2e-6  # a file has six


@dataclass(frozen=True)
class Rules:
    """Which differences are none, by the settings."""

    writes: bool
    """Whether maclip writes ratings at all; otherwise it does not learn of a person's either."""
    asks_darktable: bool
    """Whether a rating may be in darktable's library alone."""


def compare(
    photo: RecordedPhoto, found: FoundRating, rules: Rules, cures: Cures, root: str | None
) -> Iterator[FileDisagreement]:
    """Yield how the files of a photo differ from the library, which has no work to do on it."""
    if photo.is_contested:
        return  # `maclip status` names the other library
    file = str(found.source)
    if _is_another_owner(photo, found, rules):
        what = (
            f"{photo.path}: the library has {_in_words(photo.rating_owner, photo.rating)}, and {file} has"
            f" {_in_words(found.owner, found.rating)}."
        )
        yield FileDisagreement(photo.path, "rating", what, _cure(photo, found, cures, root))
    elif photo.rating_owner == found.owner == "maclip":
        proof = found.proof
        if proof is not None and photo.pixel_hash and proof.pixel_hash not in (None, photo.pixel_hash):
            what = f"{file} holds stars that were given to another picture than the one in {photo.path}."
            yield FileDisagreement(photo.path, "another picture", what, cures.rewrite(photo.path))
        elif _differ(photo.score, found.score):
            what = (
                f"{file} was written for the score {found.score:.6f}, and the library has {photo.score:.6f}"
                f" for {photo.path}."
            )
            yield FileDisagreement(photo.path, "score", what, cures.rewrite(photo.path))


def _is_another_owner(photo: RecordedPhoto, found: FoundRating, rules: Rules) -> bool:
    if not rules.writes and found.owner != "maclip":
        return False
    if photo.rating_owner == "person" and found.owner != "person":
        is_elsewhere = rules.asks_darktable or photo.partner_rating == photo.rating
        has_no_stars = not photo.rating and not found.rating  # the library alone knows whose wish that is
        return not (is_elsewhere or has_no_stars)
    return photo.rating_owner != found.owner or (photo.rating or 0) != (found.rating or 0)


def _cure(photo: RecordedPhoto, found: FoundRating, cures: Cures, root: str | None) -> str:
    if found.owner == "maclip" and photo.rating_owner != "maclip":
        return cures.adopt(photo.path)
    if found.owner == "maclip":
        return cures.rewrite(photo.path)
    return cures.run(root)


def _differ(library: float | None, file: float | None) -> bool:
    return library is not None and file is not None and abs(library - file) > _DECIMALS


def _in_words(owner: str, rating: int | None) -> str:
    if owner == "none" or rating is None:
        return "no stars"
    whose = "of maclip's" if owner == "maclip" else "of yours"
    if rating < 0:
        return "a rejection " + whose
    stars = "1 star" if rating == 1 else f"{rating} stars"
    return f"{stars} {whose}"
