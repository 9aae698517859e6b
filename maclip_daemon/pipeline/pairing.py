"""Pairs: a RAW and the picture that the camera developed from it are one shot."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from maclip_daemon.library.photos import raw_jpeg_pairs
from maclip_daemon.library.storage.database import Session
from maclip_daemon.photos import formats
from maclip_daemon.settings import RatingSettings

# What cameras write beside a RAW. A TIFF or PNG of the same name is a person's own work.
_DEVELOPED_SUFFIXES = frozenset({"jpg", "jpeg", "jpe", "heic", "heif", "hif"})


def role_of(name: str) -> Literal["raw", "developed"] | None:
    """Return what a file of this name is in a pair; None: it is never part of one."""
    return _role_of_suffix(name.rpartition(".")[2])


@lru_cache(maxsize=256)
def _role_of_suffix(suffix: str) -> Literal["raw", "developed"] | None:
    if formats.is_raw(f"x.{suffix}"):
        return "raw"
    return "developed" if suffix.lower() in _DEVELOPED_SUFFIXES else None


def update(session: Session, settings: RatingSettings) -> set[int]:
    """Link all pairs again, or unlink them where `rating.pairs` is `separate`.

    Return the files of pairs that are new or no more: each may go by another score or star now.
    """
    if settings.pairs == "one":
        return raw_jpeg_pairs.link_all(session, role_of)
    return raw_jpeg_pairs.unlink_all(session)


def add(session: Session, settings: RatingSettings, photo_ids: Sequence[int]) -> list[int]:
    """Link the pairs of photos that were just scored; return all photos whose stars may change with that."""
    if settings.pairs == "separate":
        return list(photo_ids)
    return [*photo_ids, *raw_jpeg_pairs.link(session, photo_ids, role_of)]
