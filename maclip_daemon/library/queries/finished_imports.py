"""What became of the photos of one import, and when it began."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maclip_daemon.library.storage import timestamps
from maclip_daemon.library.storage.notes import put_note
from maclip_daemon.library.storage.sql_views import ACTIVE_CONFIG

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

NOTE = "import"


@dataclass(frozen=True)
class ImportSummary:
    """Photos that were scored since a moment. A RAW and its JPEG count once."""

    scored: int
    rated: int
    """With stars of maclip."""
    five_star: int
    weak: int
    """With one star, or rejected."""
    kept: int
    """With a person's own rating."""
    failed: int
    """Files that could not be scored."""

    @property
    def photos(self) -> int:
        """The number of all."""
        return self.scored + self.failed

    def sentence(self) -> str:
        """Return the counts in words, without those that are zero."""
        rated = self.rated or self.scored
        verb = "rated" if self.rated else "scored"
        parts = [f"{grouped(rated)} {'photo' if rated == 1 else 'photos'} {verb}"] if rated else []
        unrated = self.scored - self.rated - self.kept if self.rated else 0
        others = {
            "five-star": self.five_star,
            "weak": self.weak,
            "left with your own rating": self.kept,
            "without stars (`maclip status` says why)": max(unrated, 0),
            "failed": self.failed,
        }
        parts += [f"{grouped(number)} {what}" for what, number in others.items() if number]
        return ", ".join(parts) if rated else f"{grouped(self.failed)} photos failed"


def grouped(number: int) -> str:
    """Return a number with its thousands apart: 1 204."""
    return f"{number:,}".replace(",", " ")


def summary(snapshot: sqlite3.Connection, since: float) -> ImportSummary:
    """Return what became of the photos that were scored, or failed, since `since` (Unix seconds)."""
    moment = timestamps.text(since)
    counts = snapshot.execute(
        "SELECT count(*), coalesce(sum(p.rating_owner = 'maclip'), 0),"
        " coalesce(sum(p.rating_owner = 'maclip' AND p.stars_written = 5), 0),"
        " coalesce(sum(p.rating_owner = 'maclip' AND p.stars_written <= 1), 0),"
        " coalesce(sum(p.rating_owner = 'person'), 0)"
        " FROM scores s JOIN photos p ON p.id = s.photo_id"
        f" WHERE s.scoring_config_id = {ACTIVE_CONFIG} AND s.scored_at >= ? AND p.state = 'scored'"
        " AND NOT EXISTS (SELECT 1 FROM photo_pairs WHERE photo_pairs.photo_id = p.id)",
        (moment,),
    ).fetchone()
    (failed,) = snapshot.execute(
        "SELECT count(*) FROM jobs j JOIN photos p ON p.id = j.photo_id"
        " WHERE j.kind = 'score' AND j.state = 'dead' AND j.changed_at >= ? AND p.state = 'failed'",
        (moment,),
    ).fetchone()
    scored, rated, five_star, weak, kept = counts
    return ImportSummary(scored, rated, five_star, weak, kept, failed)


def store_begin(session: Session, at: float) -> None:
    """Record that an import began: the daemon may be restarted before its end."""
    put_note(session, NOTE, {"began": at}, at)


def forget_begin(session: Session) -> None:
    """Record that no import is under way."""
    session.connection().exec_driver_sql("DELETE FROM notes WHERE key = ?", (NOTE,))


def stored_begin(snapshot: sqlite3.Connection) -> float | None:
    """Return when the import that is under way began (Unix seconds); None: none is."""
    row = snapshot.execute("SELECT value FROM notes WHERE key = ?", (NOTE,)).fetchone()
    return None if row is None else float(json.loads(row[0])["began"])
