"""The photos that a page shows first: part of the page itself, their pictures begun at once."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl

from maclip_daemon import errors
from maclip_daemon.library.queries import review_photos
from maclip_daemon.library.queries.finding import folder_list
from maclip_daemon.library.queries.review_photos import ReviewPhoto
from maclip_daemon.web import answers, filter_params
from maclip_daemon.web.opening.review_scope import ReviewScope
from maclip_daemon.web.preview_queue import PreviewQueue, WantedPreview

if TYPE_CHECKING:
    from maclip_daemon.library.queries.rating_counts import Snapshot
    from maclip_daemon.web.preview_queue import PreviewKind

ROWS = 100  # photos; photos.js asks for as many at a time
FARTHEST = 500  # of the places at which a page begins at once; the order up to a later one takes longer
DRAWN = 30  # photos of the grid's first rows, drawn by the server
INSIDE = 6  # of these, whose pictures are in the page itself: hardly more than a row


@dataclass(frozen=True)
class FirstWindow:
    """A part of the photos with which the page begins."""

    query: str
    """The filter and the place, as in an address of the page."""
    place: int
    """The photo that is selected."""
    offset: int = 0
    """The place of the first row."""
    rows: Sequence[ReviewPhoto] = ()
    rated: int = 0
    """How many of them the person has rated."""
    total: int | None = None
    """How many photos the filter chooses; None where there are more than the rows."""
    serial: int = 0
    """The number of the last change that the rows know of."""

    @functools.cached_property  # the template asks twice
    def drawn(self) -> list[dict[str, Any]]:
        """Return the photos that the server draws; none where the grid begins further down."""
        return [answers.photo(row) for row in self.rows[:DRAWN]] if self._begins_at_top else []

    @property
    def _begins_at_top(self) -> bool:
        return self.offset == 0 and self.place < DRAWN // 2

    def as_json(self) -> dict[str, Any]:
        """Return what the page's scripts begin with, in the form of `/api/start` and `/api/photos`."""
        return {
            "query": self.query,
            "serial": self.serial,
            "offset": self.offset,
            "photos": [answers.photo(row) for row in self.rows],
            "total": self.total,
            "rated": self.rated,
            "pace": 0,
        }

    def made_pictures(self, previews: PreviewQueue) -> dict[int, bytes]:
        """Return those of the first drawn pictures that are made already, as JPEG by photo."""
        rows = self.rows[:INSIDE] if self._begins_at_top else ()
        made = {row.id: previews.made(wanted(row, "grid")) for row in rows}
        return {photo_id: picture for photo_id, picture in made.items() if picture is not None}

    def begin_pictures(self, previews: PreviewQueue) -> None:
        """Begin to make the pictures in view. Raises `Transient` when the page ends."""
        start = max(0, self.place - self.offset - DRAWN // 2) if self.place >= DRAWN else 0
        for row in self.rows[start : start + DRAWN]:
            previews.prepare(wanted(row, "grid"))


def wanted(row: ReviewPhoto, kind: str) -> WantedPreview:
    """Return the picture of a photo as it is now; `kind`: one of `preview_queue.LONG_EDGES`."""
    return WantedPreview(row.path, answers.version(row), cast("PreviewKind", kind))


def read(snapshot: Snapshot, scope: ReviewScope, serial: int = 0) -> FirstWindow | None:
    """Return the first photos; None where the page has to ask for them (and says what is wrong)."""
    query = scope.query or scope.last_place(snapshot)
    words = dict(parse_qsl(query))
    try:
        place = filter_params.whole(words, "at", FARTHEST - 1)
        chosen = filter_params.parse(words, scope.under, scope.worst)
        chosen = dataclasses.replace(chosen, folder=folder_list.named(snapshot, chosen.folder))
        offset = place // ROWS * ROWS
        ids, rated = review_photos.ids(snapshot, chosen, offset + ROWS + 1)
    except errors.MaclipError:
        return None
    total = len(ids) if len(ids) <= offset + ROWS else None
    shown = ids[offset : offset + ROWS]
    if not shown:
        return None
    rows = review_photos.rows(snapshot, shown)
    return FirstWindow(query, min(place, offset + len(rows) - 1), offset, rows, len(rated), total, serial)
