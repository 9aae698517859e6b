"""What people ask the library: the worst, the best, one photo in full, counts, failures.

Every function takes a `reader.Reader` (`open_readonly`, or `Library.reader`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from maclip_daemon.library.reader import Reader


@dataclass(frozen=True)
class PhotoRow:
    """A row of `photo_quality`."""

    path: str
    folder: str
    file_name: str
    score: float
    percentile: float | None
    stars: int | None
    q_sim: float | None
    q_mag: float | None
    good: float | None
    sharpness: float | None
    edges: float | None
    resolution: float | None
    noise_free: float | None
    view_spread: float | None
    metric: str
    model: str
    protocol: str
    width: int | None
    height: int | None
    taken_at: str | None
    scored_at: str
    state: str
    rating_in_file: int | None
    rating_owner: str


@dataclass(frozen=True)
class PhotoDetail:
    """All that is known of one photo."""

    path: str
    state: str
    quality: PhotoRow | None
    """None: not scored on the active scale."""
    details: dict[str, Any]
    views: int | None
    precision: str | None
    device: str | None
    width: int | None
    height: int | None
    taken_at: str | None
    first_seen_at: str
    missing_since: str | None
    rating_in_file: int | None
    rating_owner: str
    failure: str | None
    attempts: int


@dataclass(frozen=True)
class Failure:
    """A photo that was given up."""

    path: str
    reason: str
    attempts: int
    failed_at: str


@dataclass(frozen=True)
class Status:
    """How far the work is."""

    photos: dict[str, int]
    """By state: waiting, scored, failed, missing."""
    jobs: dict[str, dict[str, int]]
    """By kind (score, rate), then state (ready, leased, dead)."""
    roots: list[dict[str, Any]]
    """path, state, reason, file_system, scanned_at."""
    scale: dict[str, str] | None
    """metric, model, protocol of the active scale."""
    calibration: dict[str, Any] | None
    """number, source, photo_count, made_at, edges."""
    ratings: dict[str, int]
    """By owner: none, maclip, person."""
    notes: dict[str, Any]
    """What the daemon left to say, by key."""


def worst(reader: Reader, count: int, under: str | None = None) -> list[PhotoRow]:
    """Give the photos with the lowest scores, lowest first (below the folder `under`)."""
    raise NotImplementedError


def best(reader: Reader, count: int, under: str | None = None) -> list[PhotoRow]:
    """Give the photos with the highest scores, highest first (below the folder `under`)."""
    raise NotImplementedError


def show(reader: Reader, path: str) -> PhotoDetail | None:
    """Give all that is known of the photo at `path`; None: it is not in the library."""
    raise NotImplementedError


def failures(reader: Reader, limit: int | None = None, under: str | None = None) -> Iterator[Failure]:
    """Give the photos that were given up, the latest first."""
    raise NotImplementedError


def status(reader: Reader) -> Status:
    """Count how far the work is."""
    raise NotImplementedError


@dataclass(frozen=True)
class Bin:
    """One bar of the histogram: scores from `low` up to `high`."""

    low: float
    high: float
    photo_count: int


@dataclass(frozen=True)
class GroupSummary:
    """The photos of one folder or one month."""

    name: str
    photo_count: int
    mean: float
    lowest: float
    highest: float


def histogram(reader: Reader, bins: int = 20) -> list[Bin]:
    """Count the active scores in equal steps from the lowest to the highest."""
    raise NotImplementedError


def by_folder(reader: Reader) -> list[GroupSummary]:
    """Summarise the active scores by folder, the lowest mean first."""
    raise NotImplementedError


def by_month(reader: Reader) -> list[GroupSummary]:
    """Summarise the active scores by the month the photos were taken in ("2026-11"; "unknown")."""
    raise NotImplementedError


def score_summary(reader: Reader) -> dict[str, Any]:
    """Give number, mean, lowest, highest and the quartiles of the active scores."""
    raise NotImplementedError
