"""Which files are one shot: the RAW and the picture that the camera developed from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from maclip_daemon.library.photos import raw_jpeg_pairs
from maclip_daemon.library.storage.database import Session
from maclip_daemon.photos import formats
from maclip_daemon.settings import RatingSettings

# What cameras write beside a RAW. A TIFF or PNG of the same name is somebody's own work.
_DEVELOPED_SUFFIXES = frozenset({"jpg", "jpeg", "jpe", "heic", "heif", "hif"})


def role_of(name: str) -> Literal["raw", "developed"] | None:
    """What a file name is in a pair."""
    if formats.is_raw(name):
        return "raw"
    return "developed" if name.rpartition(".")[2].lower() in _DEVELOPED_SUFFIXES else None


def update(session: Session, settings: RatingSettings) -> None:
    """Find all pairs anew, or none when the settings say that each photo counts for itself."""
    if settings.pairs == "one":
        raw_jpeg_pairs.link_all(session, role_of)
    else:
        raw_jpeg_pairs.unlink_all(session)


def add(session: Session, settings: RatingSettings, photo_ids: Sequence[int]) -> list[int]:
    """Find the pairs of photos that were just scored; give all whose stars these scores decide."""
    if settings.pairs == "separate":
        return list(photo_ids)
    return [*photo_ids, *raw_jpeg_pairs.link(session, photo_ids, role_of)]
