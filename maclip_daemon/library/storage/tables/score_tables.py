"""What was judged and measured of a photo, and where the stars begin."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from maclip_daemon.library.storage.tables.table import Table


class ScoringConfigColumns(Table):
    """What a score was measured with: metric, model and protocol. One of them is active."""

    __tablename__ = "scoring_configs"
    __table_args__ = (
        # Named before migration 0004; SQLite cannot rename a constraint.
        UniqueConstraint("metric", "model", "protocol", name="scales_metric_model_protocol_unique"),
        Index("scoring_configs_one_active", "active", unique=True, sqlite_where=text("active = 1")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    metric: Mapped[str]
    model: Mapped[str]
    protocol: Mapped[str]
    active: Mapped[bool] = mapped_column(server_default=text("0"))


class ScoreColumns(Table):
    """The quality of one photo in one scoring configuration."""

    __tablename__ = "scores"
    __table_args__ = (
        UniqueConstraint("photo_id", "scoring_config_id", name="scores_photo_id_scale_id_unique"),
        ForeignKeyConstraint(
            ["photo_id", "folder_id"],
            ["photos.id", "photos.folder_id"],
            ondelete="CASCADE",
            onupdate="CASCADE",
        ),
        # With the photo, so that the order of a library is read from the index alone.
        Index("scores_scoring_config_id_score_photo_id", "scoring_config_id", "score", "photo_id"),
        Index("scores_scoring_config_id_folder_id_score", "scoring_config_id", "folder_id", "score"),
        CheckConstraint("score BETWEEN -1e300 AND 1e300", "score_finite"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    photo_id: Mapped[int]
    folder_id: Mapped[int]  # the photo's folder again: the index above finds the worst of a folder at once
    scoring_config_id: Mapped[int] = mapped_column(ForeignKey("scoring_configs.id", ondelete="CASCADE"))
    score: Mapped[float]
    q_sim: Mapped[float | None]
    q_mag: Mapped[float | None]
    good: Mapped[float | None]
    sharpness: Mapped[float | None]
    edges: Mapped[float | None]
    resolution: Mapped[float | None]
    noise_free: Mapped[float | None]
    views: Mapped[int]
    view_spread: Mapped[float | None]
    precision: Mapped[str | None]
    device: Mapped[str | None]
    scored_at: Mapped[str]
    details: Mapped[Any | None] = mapped_column(JSON)  # after what is read most: reading stops before it
    overall_score: Mapped[float | None]
    detail_score: Mapped[float | None]  # None: a protocol or a photo without tiles


class MeasureColumns(Table):
    """What was measured on a photo's pixels, whatever model scores it."""

    __tablename__ = "measures"
    __table_args__ = (Index("measures_reasons", "reasons", sqlite_where=text("reasons IS NOT NULL")),)

    photo_id: Mapped[int] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True)
    focus: Mapped[float | None]
    motion: Mapped[float | None]
    motion_direction: Mapped[float | None]
    noise: Mapped[float | None]
    clipped_highlights: Mapped[float | None]
    clipped_shadows: Mapped[float | None]
    contrast: Mapped[float | None]
    jpeg_damage: Mapped[float | None]
    true_megapixels: Mapped[float | None]
    reasons: Mapped[str | None]
    details: Mapped[Any | None] = mapped_column(JSON)


class CalibrationColumns(Table):
    """Where the stars begin in one scoring configuration, frozen and numbered. The highest number counts."""

    __tablename__ = "calibrations"
    __table_args__ = (
        UniqueConstraint("scoring_config_id", "number", name="calibrations_scale_id_number_unique"),
        CheckConstraint("source in ('library', 'reference', 'absolute')", "source_known"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    scoring_config_id: Mapped[int] = mapped_column(ForeignKey("scoring_configs.id", ondelete="CASCADE"))
    number: Mapped[int]
    source: Mapped[str]
    photo_count: Mapped[int]
    two_stars_from: Mapped[float]
    three_stars_from: Mapped[float]
    four_stars_from: Mapped[float]
    five_stars_from: Mapped[float]
    settings: Mapped[Any] = mapped_column(JSON)  # the shares or edges it was made from
    made_at: Mapped[str]


class QuantileColumns(Table):
    """One point of a calibration's distribution: from `score` on, percentile + slope·(s − score)."""

    __tablename__ = "quantiles"
    __table_args__ = ({"sqlite_with_rowid": False},)

    calibration_id: Mapped[int] = mapped_column(
        ForeignKey("calibrations.id", ondelete="CASCADE"), primary_key=True
    )
    score: Mapped[float] = mapped_column(primary_key=True)
    percentile: Mapped[float]
    slope: Mapped[float]
