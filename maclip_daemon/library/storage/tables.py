"""The tables of the library, as typed models.

Times are UTC text (`timestamps.text`), paths are text or raw bytes (`stored_paths.stored`). The views for
people are in `sql_views.py`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from maclip_daemon.library.storage.column_types import PathText, ReadableText, Unsigned64


class Table(DeclarativeBase):
    """The base of all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "%(table_name)s_%(column_0_N_name)s",
            "uq": "%(table_name)s_%(column_0_N_name)s_unique",
            "ck": "%(table_name)s_%(constraint_name)s",
            "fk": "%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "%(table_name)s_key",
        }
    )


class RootColumns(Table):
    """A watched folder."""

    __tablename__ = "roots"

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(PathText, unique=True)
    state: Mapped[str] = mapped_column(server_default="new")
    reason: Mapped[str | None] = mapped_column(ReadableText)
    device: Mapped[int | None] = mapped_column(Unsigned64)
    file_system: Mapped[str | None]
    added_at: Mapped[str]
    scanned_at: Mapped[str | None]


class FolderColumns(Table):
    """A folder with photos. Photos hold its id, so that a rename changes one row."""

    __tablename__ = "folders"

    id: Mapped[int] = mapped_column(primary_key=True)
    root_id: Mapped[int] = mapped_column(ForeignKey("roots.id", ondelete="CASCADE"), index=True)
    path: Mapped[str] = mapped_column(PathText, unique=True)


FOUND_BY = ("taken_at", "camera", "lens")  # columns by which a person finds photos


class PhotoColumns(Table):
    """A photo file. Its scores, jobs and journal entries point here."""

    __tablename__ = "photos"
    __table_args__ = (
        UniqueConstraint("folder_id", "file_name"),
        UniqueConstraint("id", "folder_id"),  # lets scores.folder_id follow by foreign key
        CheckConstraint("state in ('waiting', 'scored', 'failed', 'missing')", "state_known"),
        CheckConstraint("rating_owner in ('none', 'maclip', 'person')", "rating_owner_known"),
        Index("photos_inode", "inode"),
        Index("photos_rating_owner", "rating_owner", sqlite_where=text("rating_owner <> 'none'")),
        Index("photos_pixel_hash", "pixel_hash", sqlite_where=text("pixel_hash IS NOT NULL")),
        Index("photos_rating_problem", "rating_problem", sqlite_where=text("rating_problem IS NOT NULL")),
        Index("photos_other_library", "other_library", sqlite_where=text("other_library IS NOT NULL")),
        *(
            Index(f"photos_{column}", column, sqlite_where=text(f"{column} IS NOT NULL"))
            for column in FOUND_BY
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    folder_id: Mapped[int] = mapped_column(ForeignKey("folders.id", ondelete="CASCADE"))
    file_name: Mapped[str] = mapped_column(PathText)
    device: Mapped[int] = mapped_column(Unsigned64)
    inode: Mapped[int] = mapped_column(Unsigned64)
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(server_default="waiting", index=True)
    width: Mapped[int | None]
    height: Mapped[int | None]
    taken_at: Mapped[str | None]
    pixel_hash: Mapped[str | None]
    first_seen_at: Mapped[str]
    missing_since: Mapped[str | None]
    rating_in_file: Mapped[int | None]
    rating_owner: Mapped[str] = mapped_column(server_default="none")
    stars_written: Mapped[int | None]
    rating_undone_at: Mapped[str | None]
    rating_problem: Mapped[str | None] = mapped_column(ReadableText)
    other_library: Mapped[str | None]  # the id of another library that rewrote the stars of this one
    # A rating of a person that maclip may replace: "no_stars" (taken away), "first_stars" (of darktable).
    may_replace: Mapped[str | None]
    ctime_ns: Mapped[int | None] = mapped_column(BigInteger)  # None: recorded before there was this column
    rating_checked_at: Mapped[str | None]  # the rating files were last seen to hold nothing new
    is_picked: Mapped[bool] = mapped_column(server_default=text("0"))  # by a person, in the review page
    camera: Mapped[str | None]
    lens: Mapped[str | None]


class BurstColumns(Table):
    """Photos of one moment: a burst, a bracket, a panorama, a stack, a time lapse, or copies of a picture."""

    __tablename__ = "bursts"
    __table_args__ = (
        CheckConstraint(
            "kind in ('burst', 'bracket', 'panorama', 'focus stack', 'duplicate', 'time lapse')", "kind_known"
        ),
        Index("bursts_first_moment", "first_moment"),
        {"sqlite_autoincrement": True},  # a number in a sidecar must not come to mean another group
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    members: Mapped[int]  # shots: a RAW and its JPEG are one
    best_id: Mapped[int | None] = mapped_column(ForeignKey("photos.id", ondelete="SET NULL"), index=True)
    margin: Mapped[float | None]
    spread: Mapped[float | None]  # that re-framing gives a score, when the margin was judged
    is_close: Mapped[bool] = mapped_column(server_default=text("0"))
    first_moment: Mapped[int] = mapped_column(BigInteger)  # microseconds, as in burst_frames
    last_moment: Mapped[int] = mapped_column(BigInteger)


class BurstFrameColumns(Table):
    """What grouping knows of a photo, and the group it is in."""

    __tablename__ = "burst_frames"
    __table_args__ = (
        Index("burst_frames_series_moment_name_order", "series", "moment", "name_order", "photo_id"),
        Index("burst_frames_burst_id_burst_rank", "burst_id", "burst_rank"),
        Index("burst_frames_stale", "photo_id", sqlite_where=text("is_stale = 1")),
    )

    photo_id: Mapped[int] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True)
    # Photos with a date: a digest of the camera. Without one: the folder's id, negative.
    series: Mapped[int] = mapped_column(BigInteger)
    moment: Mapped[int] = mapped_column(BigInteger)  # microseconds since 1970, UTC where the zone is known
    name_order: Mapped[str]
    exposure_s: Mapped[float | None]
    aperture: Mapped[float | None]
    iso: Mapped[float | None]
    bias_ev: Mapped[float | None]
    focal_mm: Mapped[float | None]
    is_bracketed: Mapped[bool] = mapped_column(server_default=text("0"))
    burst_id: Mapped[int | None] = mapped_column(ForeignKey("bursts.id", ondelete="SET NULL"))
    burst_rank: Mapped[int | None]
    is_stale: Mapped[bool] = mapped_column(server_default=text("1"))  # its group must be found again
    descriptor: Mapped[bytes | None]  # last, so that reading the rest stops before it


class PhotoPairColumns(Table):
    """A photo whose stars come from the RAW of the same shot."""

    __tablename__ = "photo_pairs"

    photo_id: Mapped[int] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True)
    raw_id: Mapped[int] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), index=True)


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
        Index("scores_scoring_config_id_score", "scoring_config_id", "score"),
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


FRESH, AGAIN = 0, 1  # priorities of jobs: new or changed photos, and those that are scored again


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


class JobColumns(Table):
    """Work to be done on a photo. Finished work has no row; dead jobs stay, with the reason."""

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("photo_id", "kind"),
        CheckConstraint("kind in ('score', 'rate')", "kind_known"),
        CheckConstraint("state in ('ready', 'leased', 'dead')", "state_known"),
        Index("jobs_kind_state_priority_not_before", "kind", "state", "priority", "not_before"),
        # A number is never used twice: a late answer to a removed job must not end another one.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    photo_id: Mapped[int] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"))
    kind: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="ready")
    generation: Mapped[int] = mapped_column(server_default=text("1"))
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    not_before: Mapped[str]
    lease_number: Mapped[int] = mapped_column(server_default=text("0"))
    lease_until: Mapped[str | None]
    worker: Mapped[str | None]
    reason: Mapped[str | None] = mapped_column(ReadableText)
    changed_at: Mapped[str]
    priority: Mapped[int] = mapped_column(server_default=text("0"))  # AGAIN: behind all FRESH ones
    failure: Mapped[str | None]
    """What went wrong, in words to count by (`errors`)."""


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


class JournalEntryColumns(Table):
    """One change of one metadata file, written before the file is touched; what `maclip undo` reads."""

    __tablename__ = "rating_journal"
    __table_args__ = (
        CheckConstraint("kind in ('sidecar', 'embed')", "kind_known"),
        CheckConstraint("state in ('intended', 'written', 'abandoned', 'undone')", "state_known"),
        Index("rating_journal_intended", "state", sqlite_where=text("state = 'intended'")),
        Index("rating_journal_pixel_hash", "pixel_hash", sqlite_where=text("pixel_hash IS NOT NULL")),
        Index("rating_journal_after_hash", "after_hash"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    # Forgetting a photo (`maclip purge`) must not make undo impossible: the entry stays.
    photo_id: Mapped[int | None] = mapped_column(ForeignKey("photos.id", ondelete="SET NULL"), index=True)
    target_path: Mapped[str] = mapped_column(PathText, index=True)
    origin_path: Mapped[str | None] = mapped_column(PathText)
    kind: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="intended")
    before_hash: Mapped[str | None]
    after_hash: Mapped[str]
    stars_before: Mapped[int | None]
    stars_written: Mapped[int | None]
    intended_at: Mapped[str]
    settled_at: Mapped[str | None]
    restore_data: Mapped[bytes | None]
    pixel_hash: Mapped[str | None]  # of the photo, which a purge forgets
    adopted_from: Mapped[str | None]  # the id of the library that wrote the file, where it was not this one
    # The ratings that earlier writes gave, which this entry stands for: bit 0 is −1, bit 1 is 0, bit 6 is 5.
    former_stars: Mapped[int | None]


class DecisionColumns(Table):
    """A person's decision about one photo in the review page, written down before any file is touched."""

    __tablename__ = "decisions"
    __table_args__ = (
        CheckConstraint("state in ('waiting', 'written', 'refused', 'undone', 'replaced')", "state_known"),
        CheckConstraint("rating BETWEEN -1 AND 5", "rating_known"),
        Index("decisions_waiting", "state", sqlite_where=text("state = 'waiting'")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    photo_id: Mapped[int] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), index=True)
    review: Mapped[str]  # the run of the page that it was made in
    press: Mapped[int] = mapped_column(index=True)  # the id of the first decision of one key press
    rating: Mapped[int | None]
    pick: Mapped[bool | None]
    seen: Mapped[int | None]  # the person's rating of before that was shown to them
    before: Mapped[Any] = mapped_column(JSON)  # the photo's columns of before, for undo
    state: Mapped[str] = mapped_column(server_default="waiting")
    reason: Mapped[str | None] = mapped_column(ReadableText)
    decided_at: Mapped[str]
    settled_at: Mapped[str | None]


class DecisionFileColumns(Table):
    """One file that a decision changed, and how to return to its bytes of before."""

    __tablename__ = "decision_files"

    id: Mapped[int] = mapped_column(primary_key=True)
    decision_id: Mapped[int] = mapped_column(ForeignKey("decisions.id", ondelete="CASCADE"), index=True)
    target_path: Mapped[str] = mapped_column(PathText)
    before_hash: Mapped[str | None]
    after_hash: Mapped[str]
    restore_data: Mapped[bytes]


class NoteColumns(Table):
    """What `maclip status` shows of the daemon: its state, warnings and their cures."""

    __tablename__ = "notes"

    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)
    changed_at: Mapped[str]


# The same tables without the ORM, for statements that run once for each photo.
ROOTS, FOLDERS, PHOTOS = (Table.metadata.tables[name] for name in ("roots", "folders", "photos"))
SCORING_CONFIGS, SCORES, JOBS = (
    Table.metadata.tables[name] for name in ("scoring_configs", "scores", "jobs")
)
CALIBRATIONS, QUANTILES = (Table.metadata.tables[name] for name in ("calibrations", "quantiles"))
JOURNAL, NOTES = (Table.metadata.tables[name] for name in ("rating_journal", "notes"))
BURSTS, BURST_FRAMES = (Table.metadata.tables[name] for name in ("bursts", "burst_frames"))
PAIRS = Table.metadata.tables["photo_pairs"]
DECISIONS, DECISION_FILES = (Table.metadata.tables[name] for name in ("decisions", "decision_files"))
MEASURES = Table.metadata.tables["measures"]
