"""The measured qualities of photos: one row each, whatever model scores them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sqlalchemy import delete
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from maclip_daemon.library.storage.tables import MEASURES


@dataclass(frozen=True)
class MeasuredQualities:
    """What was measured on a photo, as it is stored; docs/database.md has the units. None: not known."""

    focus: float | None = None
    motion: float | None = None
    motion_direction: float | None = None
    noise: float | None = None
    clipped_highlights: float | None = None
    clipped_shadows: float | None = None
    contrast: float | None = None
    jpeg_damage: float | None = None
    true_megapixels: float | None = None
    reasons: str | None = None
    """At most three, the strongest first, with "; " between; None without any."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """For `maclip show`: how sure each is, and where the focus lies."""


def record(session: Session, measured: Mapping[int, MeasuredQualities | None]) -> None:
    """Store or replace the qualities of photos, by id; None: its picture is too small to measure."""
    gone = [photo_id for photo_id, row in measured.items() if row is None]
    if gone:
        session.execute(delete(MEASURES).where(MEASURES.c.photo_id.in_(gone)))
    rows = [
        {"photo_id": photo_id, **{name: getattr(row, name) for name in _COLUMNS}}
        for photo_id, row in measured.items()
        if row is not None
    ]
    if rows:
        session.execute(_RECORD, rows)


_COLUMNS = tuple(each.name for each in fields(MeasuredQualities))
_INSERT = insert(MEASURES)
_RECORD = _INSERT.on_conflict_do_update(
    index_elements=["photo_id"], set_={name: _INSERT.excluded[name] for name in _COLUMNS}
)
