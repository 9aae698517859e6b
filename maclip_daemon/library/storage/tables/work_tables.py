"""Work to be done, and what the daemon tells of itself."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from maclip_daemon.library.storage.column_types import ReadableText
from maclip_daemon.library.storage.tables.table import Table

FRESH, AGAIN = 0, 1  # priorities of jobs: new or changed photos, and those that are scored again


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


class NoteColumns(Table):
    """What `maclip status` shows of the daemon: its state, warnings and their cures."""

    __tablename__ = "notes"

    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)
    changed_at: Mapped[str]
