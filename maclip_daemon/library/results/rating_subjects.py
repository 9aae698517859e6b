"""What the rating stage needs to know of its photos: score, stars, and what was last written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, text
from sqlalchemy.orm import Session

from maclip_daemon.library.storage import stored_paths
from maclip_daemon.library.storage.sql_views import (
    ACTIVE_CONFIG,
    DECIDING_SCORE,
    PERCENTILE,
    RAW_AND_CALIBRATION,
    STARS,
)


@dataclass(frozen=True)
class RatingSubject:
    """A scored photo whose stars are to be written, or looked at where it is held."""

    photo_id: int
    path: str
    score: float
    scored_at: str
    """ISO 8601, UTC."""
    metric: str
    model: str
    protocol: str
    stars_written: int | None
    """The rating last written and not undone."""
    stars: int | None
    """1 to 5 by the current calibration; None while there is none."""
    percentile: float | None
    """0 to 100; None where the calibration has no distribution."""
    pixel_hash: str | None = None
    may_replace: str | None = None
    """Which of a person's ratings they let maclip replace (`maclip rate --again`, `--over-first-stars`)."""
    rating_in_file: int | None = None
    """The rating that the library last saw in the photo's file."""
    burst_series: int | None = None
    """The camera of its group of photos of one moment (`burst_frames.series`); None alone."""
    burst_moment: int | None = None
    """When that began, in microseconds."""
    burst_kind: str | None = None
    burst_rank: int | None = None
    reasons: str | None = None
    """What was measured to be wrong with it, with "; " between."""
    rating_owner: str = "none"
    """Whose the rating in the file was when the library last saw it."""
    is_held: bool = False
    """Whether `maclip undo` holds it: nothing is written for it, and what a person does is noted."""


def rating_subjects(session: Session, photo_ids: Sequence[int]) -> list[RatingSubject]:
    """Return these photos with their scores and stars in the active scoring configuration.

    Photos without a score and missing ones are left out. A JPEG has the score of the RAW of its shot, where
    there is one.
    """
    return [
        RatingSubject(photo_id, stored_paths.join(folder, name), *rest)
        for photo_id, folder, name, *rest in session.execute(_SUBJECTS, {"photo_ids": photo_ids})
    ]


_SUBJECTS = text(
    f"SELECT p.id, f.path, p.file_name, {DECIDING_SCORE}, coalesce(raw.scored_at, s.scored_at),"
    f" m.metric, m.model, m.protocol, p.stars_written, {STARS}, {PERCENTILE},"
    " p.pixel_hash, p.may_replace, p.rating_in_file, frame.series, burst.first_moment, burst.kind,"
    " frame.burst_rank, q.reasons, p.rating_owner,"
    " p.rating_undone_at IS NOT NULL"
    " FROM photos p"
    f" JOIN scores s ON s.photo_id = p.id AND s.scoring_config_id = {ACTIVE_CONFIG}"
    " JOIN scoring_configs m ON m.id = s.scoring_config_id"
    " LEFT JOIN measures q ON q.photo_id = p.id"
    f" JOIN folders f ON f.id = p.folder_id {RAW_AND_CALIBRATION}"
    " LEFT JOIN burst_frames frame ON frame.photo_id = p.id AND frame.burst_id IS NOT NULL"
    " LEFT JOIN bursts burst ON burst.id = frame.burst_id"
    " WHERE p.id IN :photo_ids AND p.state = 'scored'"
).bindparams(bindparam("photo_ids", expanding=True))
