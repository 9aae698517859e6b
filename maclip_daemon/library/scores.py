"""Scores: one for each photo on each scale (metric, model, protocol); one scale is active."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session


@dataclass(frozen=True)
class KnownScale:
    """A (metric, model, protocol) on which photos have scores."""

    id: int
    metric: str
    model: str
    protocol: str


@dataclass(frozen=True)
class ScoreRow:
    """A score as it is stored. The cues and attributes are None where the metric has none."""

    score: float
    q_sim: float | None = None
    q_mag: float | None = None
    good: float | None = None
    sharpness: float | None = None
    edges: float | None = None
    resolution: float | None = None
    noise_free: float | None = None
    views: int = 1
    view_spread: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    """What `maclip show` tells beside: boxes, scores and weights of the views."""
    precision: str | None = None
    device: str | None = None


def scale_for(session: Session, metric: str, model: str, protocol: str) -> KnownScale:
    """Give the scale with these three names; a new one is remembered first."""
    raise NotImplementedError


def active_scale(session: Session) -> KnownScale | None:
    """Give the scale whose scores the views, the stars and the commands show."""
    raise NotImplementedError


def activate(session: Session, scale_id: int) -> None:
    """Show the scores of this scale from now on; photos without one become `waiting`."""
    raise NotImplementedError


def record(session: Session, photo_id: int, scale_id: int, score: ScoreRow, now: float) -> None:
    """Store or replace a photo's score on a scale; the photo is `scored` if the scale is active.

    Raises `Poison` for a score or cue that is not a finite number: such a score is never stored.
    """
    raise NotImplementedError


def find_by_pixel_hash(session: Session, pixel_hash: str, scale_id: int) -> ScoreRow | None:
    """Give the score of a photo with the same decoded pixels (the same one after a metadata edit, or a copy)."""
    raise NotImplementedError


def enqueue_unscored(session: Session, now: float) -> int:
    """Ask for a score of every present photo that lacks one on the active scale; how many jobs are new.

    Given-up photos stay given up (`jobs.retry_dead`).
    """
    raise NotImplementedError
