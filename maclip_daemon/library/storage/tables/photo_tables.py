"""Watched folders, photo files, and what joins photos: pairs of RAW and JPEG, groups of one moment."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from maclip_daemon.library.storage.column_types import PathText, ReadableText, Unsigned64
from maclip_daemon.library.storage.tables.table import Table


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
        Index(
            "photos_rating_owner_rating_in_file",
            "rating_owner",
            "rating_in_file",
            sqlite_where=text("rating_owner <> 'none'"),
        ),
        Index("photos_pixel_hash", "pixel_hash", sqlite_where=text("pixel_hash IS NOT NULL")),
        Index("photos_is_rating_due", "is_rating_due", sqlite_where=text("is_rating_due = 1")),
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
    # Its rating job went with its disk; it is asked for again when the photo is back.
    is_rating_due: Mapped[bool] = mapped_column(server_default=text("0"))


class PhotoPairColumns(Table):
    """A photo whose stars come from the RAW of the same shot."""

    __tablename__ = "photo_pairs"

    photo_id: Mapped[int] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True)
    raw_id: Mapped[int] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), index=True)


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
