"""Scores: one for each photo and scoring configuration (metric, model, protocol); one of these is active."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, cast

from sqlalchemy import CursorResult, bindparam, select, text, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from maclip_daemon.errors import Poison
from maclip_daemon.library.storage import timestamps
from maclip_daemon.library.storage.connections import driver_of
from maclip_daemon.library.storage.tables import AGAIN, FRESH, PHOTOS, SCORES, SCORING_CONFIGS


@dataclass(frozen=True)
class StoredConfig:
    """A metric, model and protocol that photos were scored with."""

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
    """For `maclip show`: boxes, scores and weights of the views."""
    precision: str | None = None
    device: str | None = None
    overall_score: float | None = None
    detail_score: float | None = None


def scoring_config_for(session: Session, metric: str, model: str, protocol: str) -> StoredConfig:
    """Return the scoring configuration of these three names, which is added when it is new."""
    names = {"metric": metric, "model": model, "protocol": protocol}
    session.execute(insert(SCORING_CONFIGS).values(**names).on_conflict_do_nothing())
    found = session.execute(select(SCORING_CONFIGS.c.id).filter_by(**names)).scalar_one()
    return StoredConfig(int(found), metric, model, protocol)


def active_scoring_config(session: Session) -> StoredConfig | None:
    """Return the scoring configuration whose scores views, stars and commands show."""
    row = session.execute(
        select(
            SCORING_CONFIGS.c.id,
            SCORING_CONFIGS.c.metric,
            SCORING_CONFIGS.c.model,
            SCORING_CONFIGS.c.protocol,
        ).where(SCORING_CONFIGS.c.active == 1)
    ).first()
    return None if row is None else StoredConfig(*row)


def activate(session: Session, scoring_config_id: int) -> None:
    """Make this scoring configuration the active one; photos without a score in it become `waiting`."""
    active = active_scoring_config(session)
    if active is not None and active.id == scoring_config_id:
        return
    session.execute(update(SCORING_CONFIGS).where(SCORING_CONFIGS.c.active == 1).values(active=False))
    session.execute(
        update(SCORING_CONFIGS).where(SCORING_CONFIGS.c.id == scoring_config_id).values(active=True)
    )
    driver_of(session.connection()).execute(_GROUPS_ARE_JUDGED_AGAIN)
    session.execute(_LACKING_WAIT, {"config": scoring_config_id})
    session.execute(_AGAIN_FOR_NOTHING, {"config": scoring_config_id})
    session.execute(_HAVING_ARE_SCORED, {"config": scoring_config_id})


_GROUPS_ARE_JUDGED_AGAIN = "UPDATE burst_frames SET is_stale = 1 WHERE burst_id IS NOT NULL"
_LACKING_WAIT = text(
    "UPDATE photos SET state = 'waiting' WHERE state = 'scored'"
    " AND NOT EXISTS (SELECT 1 FROM scores s WHERE s.photo_id = photos.id AND s.scoring_config_id = :config)"
)
_AGAIN_FOR_NOTHING = text(
    f"DELETE FROM jobs WHERE kind = 'score' AND state = 'ready' AND priority = {AGAIN} AND EXISTS"
    " (SELECT 1 FROM scores s WHERE s.photo_id = jobs.photo_id AND s.scoring_config_id = :config)"
)
# A photo that waits because its file changed has a job; its old score must not pass for the new one's.
_HAVING_ARE_SCORED = text(
    "UPDATE photos SET state = 'scored' WHERE state = 'waiting'"
    " AND EXISTS (SELECT 1 FROM scores s WHERE s.photo_id = photos.id AND s.scoring_config_id = :config)"
    " AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.photo_id = photos.id AND j.kind = 'score')"
)


def record(
    session: Session, scoring_config_id: int, scored: Sequence[tuple[int, ScoreRow]], now: float
) -> None:
    """Store or replace scores of photos, all or none; in the active configuration they become `scored`.

    Raises `Poison` for a score or cue that is not a finite number: such a score is never stored.
    """
    if not scored:
        return
    moment = timestamps.text(now)
    rows = []
    for photo_id, score in scored:
        _require_finite(score)
        rows.append(
            {
                "photo_id": photo_id,
                "scoring_config_id": scoring_config_id,
                "scored_at": moment,
                **_columns(score),
            }
        )
    session.execute(_RECORD, rows)
    session.execute(_SCORED, [{"key": photo_id, "config": scoring_config_id} for photo_id, _ in scored])


_SCORE_COLUMNS = tuple(f.name for f in fields(ScoreRow))
_NUMBERS = tuple(name for name in _SCORE_COLUMNS if name not in ("views", "details", "precision", "device"))


def _require_finite(score: ScoreRow) -> None:
    for name in _NUMBERS:
        value = getattr(score, name)
        if value is not None and not math.isfinite(value):
            raise Poison(f"The {name} came out as {value}; it was not stored. Another precision may help.")


def _columns(score: ScoreRow) -> dict[str, Any]:
    return {name: getattr(score, name) for name in _SCORE_COLUMNS}


_INSERT = insert(SCORES).values(
    photo_id=bindparam("photo_id"),
    scoring_config_id=bindparam("scoring_config_id"),
    scored_at=bindparam("scored_at"),
    folder_id=select(PHOTOS.c.folder_id).where(PHOTOS.c.id == bindparam("photo_id")).scalar_subquery(),
    **{name: bindparam(name) for name in _SCORE_COLUMNS},
)
_RECORD = _INSERT.on_conflict_do_update(
    index_elements=["photo_id", "scoring_config_id"],
    set_={name: _INSERT.excluded[name] for name in (*_SCORE_COLUMNS, "scored_at")},
)
_SCORED = (
    update(PHOTOS)
    .where(
        PHOTOS.c.id == bindparam("key"),
        PHOTOS.c.state != "missing",
        select(SCORING_CONFIGS.c.active).where(SCORING_CONFIGS.c.id == bindparam("config")).scalar_subquery()
        == 1,
    )
    .values(state="scored")
)


def keep(session: Session, scoring_config_id: int, pictures: Mapping[int, str]) -> set[int]:
    """Return the photos whose score in this configuration is that of their picture; they are `scored`.

    `pictures`: the pixel hashes of photos that were decoded, by id. Call it before these are recorded.
    """
    rows = session.execute(_WITH_SCORE, {"ids": list(pictures), "config": scoring_config_id})
    kept = {photo_id for photo_id, pixel_hash in rows if pictures[photo_id] == pixel_hash}
    if kept:
        session.execute(_SCORED, [{"key": photo_id, "config": scoring_config_id} for photo_id in kept])
    return kept


_WITH_SCORE = (
    select(PHOTOS.c.id, PHOTOS.c.pixel_hash)
    .join(SCORES, SCORES.c.photo_id == PHOTOS.c.id)
    .where(
        PHOTOS.c.id.in_(bindparam("ids", expanding=True)),
        SCORES.c.scoring_config_id == bindparam("config"),
    )
)


def find_by_pixel_hash(session: Session, pixel_hash: str, scoring_config_id: int) -> ScoreRow | None:
    """Return the score in this configuration of any photo with the same pixels.

    That is the photo itself after a metadata edit, or a copy of it.
    """
    row = session.execute(_BY_PIXELS, {"pixels": pixel_hash, "config": scoring_config_id}).first()
    if row is None:
        return None
    values = dict(row._mapping)
    return ScoreRow(**{**values, "details": values["details"] or {}})


_BY_PIXELS = (
    select(*(SCORES.c[name] for name in _SCORE_COLUMNS))
    .join(PHOTOS, PHOTOS.c.id == SCORES.c.photo_id)
    .where(
        PHOTOS.c.pixel_hash == bindparam("pixels"),
        PHOTOS.c.pixel_hash.is_not(None),  # lets SQLite take the partial index
        SCORES.c.scoring_config_id == bindparam("config"),
    )
    .limit(1)
)


def enqueue_unscored(session: Session, now: float) -> int:
    """Queue every present photo without a score in the active configuration; return how many jobs are new.

    Photos that have a score in another configuration are scored again behind all new ones, the newest first.
    Given-up photos stay given up (`jobs.retry_dead`).
    """
    added = session.execute(_ENQUEUE_UNSCORED, {"now": timestamps.text(now)})
    return cast("CursorResult[Any]", added).rowcount


_HAS_ANOTHER_SCORE = "EXISTS (SELECT 1 FROM scores former WHERE former.photo_id = p.id)"
_ENQUEUE_UNSCORED = text(
    "INSERT INTO jobs (photo_id, kind, not_before, changed_at, priority)"
    f" SELECT p.id, 'score', :now, :now, CASE WHEN {_HAS_ANOTHER_SCORE} THEN {AGAIN} ELSE {FRESH} END"
    " FROM photos p"
    " WHERE p.state <> 'missing' AND NOT EXISTS (SELECT 1 FROM scores s WHERE s.photo_id = p.id"
    " AND s.scoring_config_id = (SELECT id FROM scoring_configs WHERE active = 1))"
    # Jobs of one moment are done in the order of their numbers.
    " ORDER BY coalesce(p.taken_at, strftime('%Y-%m-%dT%H:%M:%S', p.mtime_ns / 1000000000, 'unixepoch')) DESC"
    " ON CONFLICT (photo_id, kind) DO NOTHING"
)
