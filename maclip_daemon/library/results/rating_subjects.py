"""What a rate job needs to know of its photos: their scores, and what we last wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from maclip_daemon.library.storage import stored_paths
from maclip_daemon.library.storage.tables import (
    FOLDERS,
    PAIRS,
    PHOTOS,
    SCORES,
    SCORING_CONFIGS,
)


@dataclass(frozen=True)
class RatingSubject:
    """A scored photo that is to get stars."""

    photo_id: int
    path: str
    score: float
    scored_at: str
    """ISO 8601, UTC."""
    metric: str
    model: str
    protocol: str
    stars_written: int | None
    """The rating of our last write that was not undone."""


def rating_subjects(
    session: Session, photo_ids: Sequence[int], scoring_config_id: int
) -> list[RatingSubject]:
    """Give what is known of these photos; left out are those without a score on the
    config, those that are missing, and those whose rating somebody took back.

    A JPEG has the score of the RAW of its shot, where there is one.
    """
    raw = SCORES.alias("raw")
    chosen = (
        select(
            PHOTOS.c.id,
            FOLDERS.c.path,
            PHOTOS.c.file_name,
            func.coalesce(raw.c.score, SCORES.c.score).label("score"),
            func.coalesce(raw.c.scored_at, SCORES.c.scored_at).label("scored_at"),
            SCORING_CONFIGS.c.metric,
            SCORING_CONFIGS.c.model,
            SCORING_CONFIGS.c.protocol,
            PHOTOS.c.stars_written,
        )
        .join_from(PHOTOS, SCORES, SCORES.c.photo_id == PHOTOS.c.id)
        .join(SCORING_CONFIGS, SCORING_CONFIGS.c.id == SCORES.c.scoring_config_id)
        .join(FOLDERS, FOLDERS.c.id == PHOTOS.c.folder_id)
        .outerjoin(PAIRS, PAIRS.c.photo_id == PHOTOS.c.id)
        .outerjoin(
            raw, and_(raw.c.photo_id == PAIRS.c.raw_id, raw.c.scoring_config_id == SCORES.c.scoring_config_id)
        )
        .where(
            PHOTOS.c.id.in_(photo_ids),
            SCORES.c.scoring_config_id == scoring_config_id,
            PHOTOS.c.state == "scored",
            PHOTOS.c.rating_undone_at.is_(None),
        )
    )
    return [
        RatingSubject(
            row.id,
            stored_paths.join(row.path, row.file_name),
            row.score,
            row.scored_at,
            row.metric,
            row.model,
            row.protocol,
            row.stars_written,
        )
        for row in session.execute(chosen)
    ]
