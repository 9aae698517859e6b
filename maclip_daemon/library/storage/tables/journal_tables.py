"""What was written into files, and what a person decided: the way back."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from maclip_daemon.library.storage.column_types import PathText, ReadableText
from maclip_daemon.library.storage.tables.table import Table


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
