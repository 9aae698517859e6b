"""Calibration: where the stars begin on the user's own library, frozen and numbered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy.orm import Session

Edges = tuple[float, float, float, float]
Shares = tuple[float, float, float, float, float]
Source = Literal["library", "reference", "absolute"]


@dataclass(frozen=True)
class Calibration:
    """One frozen calibration of a scale."""

    id: int
    scale_id: int
    number: int
    edges: Edges
    """The scores at which 2, 3, 4 and 5 stars begin."""
    quantiles: tuple[tuple[float, float, float], ...]
    """(score, percentile, slope), by score: percentile + slope · (s − score) from this score on. Empty
    where the library was too small: then there are stars but no percentiles."""
    photo_count: int
    source: Source
    made_at: str


def current(session: Session, scale_id: int) -> Calibration | None:
    """Give the scale's calibration with the highest number."""
    raise NotImplementedError


def needs_renewal(
    session: Session,
    scale_id: int,
    shares: Shares,
    minimum_photos: int,
    reference_edges: Edges | None = None,
    absolute_edges: Edges | None = None,
) -> bool:
    """Say whether `renew` would now make a calibration that the library has outgrown the old one for.

    True when there is none yet and there could be one, when the settings ask for other shares or edges, when
    the library became large enough for stars of its own, or when it has grown by a fifth.
    """
    raise NotImplementedError


def renew(
    session: Session,
    scale_id: int,
    shares: Shares,
    minimum_photos: int,
    now: float,
    reference_edges: Edges | None = None,
    absolute_edges: Edges | None = None,
) -> Calibration | None:
    """Freeze a new calibration from all scores of the scale; None: too few photos, no edges given.

    `shares`: per cent of the photos that get 1, 2, 3, 4, 5 stars. `absolute_edges` win over the shares;
    `reference_edges` serve below `minimum_photos`.
    """
    raise NotImplementedError


def stars_for(calibration: Calibration, score: float) -> int:
    """Give 1 to 5 stars: one, and one more for every edge the score reaches."""
    return 1 + sum(score >= edge for edge in calibration.edges)


def percentile_for(calibration: Calibration, score: float) -> float | None:
    """Give the per cent of the calibrated photos below the score (half of the equal ones count): 0 to 100.

    None where the calibration has no distribution. The view `photo_quality` computes the same number.
    """
    raise NotImplementedError
