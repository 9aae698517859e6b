"""What `maclip review` was started for, and where the person was last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from maclip_daemon.files.paths import printable_utf8
from maclip_daemon.library.queries import status

if TYPE_CHECKING:
    from maclip_daemon.library.queries.rating_counts import Snapshot

PLACE_NOTE = "review place"


@dataclass(frozen=True)
class ReviewScope:
    """What `maclip review` was started for."""

    under: tuple[str, ...] = ()
    """Folders or photos; none: the whole library."""
    worst: int | None = None
    query: str = ""
    """The filter to begin with, as in an address of the page; empty: where the person was last."""

    @property
    def text(self) -> str:
        """Return the scope as text, by which its last place is known again."""
        return printable_utf8(f"{self.under} {self.worst}")

    def last_place(self, snapshot: Snapshot) -> str:
        """Return where the person was last, as in an address of the page; empty where it was not here."""
        place = status.notes(snapshot).get(PLACE_NOTE)
        if not isinstance(place, dict) or place.get("scope") != self.text:
            return ""
        return str(place.get("at", ""))
