"""`maclip rate --again`: stars again for photos from which the person took them away."""

from __future__ import annotations

from collections.abc import Sequence

from maclip_daemon.library.photos import raw_jpeg_pairs
from maclip_daemon.library.queue import rating_queue
from maclip_daemon.library.storage.database import Library
from maclip_daemon.metadata.records import NO_STARS

_BATCH = 500  # photos of one question; SQLite allows some ten thousand variables


def photos(library: Library, under: Sequence[str]) -> list[tuple[int, str]]:
    """Return id and path of the photos (below `under`, or all) whose person wants no stars.

    The other files of their shots are among them: both files of a shot have one verdict.
    """
    with library.reading() as session:
        found = dict(rating_queue.without_stars(session, under))
        photo_ids = list(found)
        for start in range(0, len(photo_ids), _BATCH):
            partners = raw_jpeg_pairs.partners(session, photo_ids[start : start + _BATCH])
            for others in partners.values():
                found |= {each.photo_id: each.path for each in others if each.rating_owner == "person"}
    return sorted(found.items(), key=lambda each: each[1])


def allow(library: Library, photo_ids: Sequence[int], now: float) -> None:
    """Record that these photos may have stars again, and queue them."""
    with library.writing() as session:
        rating_queue.allow_replacing(session, photo_ids, NO_STARS, now)
