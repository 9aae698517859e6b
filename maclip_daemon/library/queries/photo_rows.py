"""Rows of `photo_quality`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from maclip_daemon.library.storage import stored_paths


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
    my_stars: int | None
    """-1 to 5 where a person rated the photo; None where nobody did."""
    is_picked: bool
    camera: str | None
    lens: str | None
    burst_id: int | None
    burst_kind: str | None
    burst_rank: int | None
    is_best_of_burst: int | None
    overall_score: float | None
    detail_score: float | None
    focus: float | None
    motion: float | None
    motion_direction: float | None
    noise: float | None
    clipped_highlights: float | None
    clipped_shadows: float | None
    contrast: float | None
    jpeg_damage: float | None
    true_megapixels: float | None
    reasons: str | None
    """At most three, the strongest first, with "; " between."""


def photo_row(row: Sequence[Any]) -> PhotoRow:
    """Return the row as it came from the database."""
    path, folder, file_name, *rest = row
    return PhotoRow(
        stored_paths.restored(path), stored_paths.restored(folder), stored_paths.restored(file_name), *rest
    )
