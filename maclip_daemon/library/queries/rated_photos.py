"""Each photo's rating as the library knows it, with every rating that maclip ever wrote for it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from maclip_daemon.library.queries.finding.folder_ranges import is_under
from maclip_daemon.library.results.written_ratings import ratings_of
from maclip_daemon.library.storage import stored_paths


@dataclass(frozen=True)
class RatedPhoto:
    """A photo and whose rating it has."""

    path: str
    rating: int | None
    """-1 to 5, as the file holds it."""
    rating_owner: str
    """`none`, `maclip` or `person`."""
    written: tuple[int, ...]
    """The ratings that maclip wrote at any time, and those that it replaced because the person said so. A
    photo manager may still show one of them."""


def rated_photos(snapshot: sqlite3.Connection, under: str | None = None) -> list[RatedPhoto]:
    """Return the photos (below the folder `under`) that are not missing, in the order of their paths."""
    condition, values = ("1", []) if under is None else is_under("f.path", under)
    rows = snapshot.execute(
        "SELECT f.path, p.file_name, p.rating_in_file, p.rating_owner,"
        " (SELECT group_concat(coalesce(j.stars_written, 0) || ',' || coalesce(j.former_stars, 0) || ',' ||"
        "   CASE WHEN j.state = 'written' THEN coalesce(j.stars_before, 0) ELSE 0 END, ';')"
        "  FROM rating_journal j WHERE j.photo_id = p.id AND j.state <> 'abandoned'"
        "  AND (j.stars_written IS NOT NULL OR j.former_stars IS NOT NULL))"
        f" FROM folders f JOIN photos p ON p.folder_id = f.id WHERE p.state <> 'missing' AND {condition}"
        " ORDER BY f.path, p.file_name",
        values,
    )
    return [
        RatedPhoto(
            stored_paths.join(folder, name),
            rating,
            owner,
            tuple(sorted(_ratings(written or "") - {0})),
        )
        for folder, name, rating, owner, written in rows
    ]


def _ratings(written: str) -> set[int]:
    """Return the ratings of a photo's journal: entries of stars, former stars as bits, and stars before."""
    ratings: set[int] = set()
    for entry in filter(None, written.split(";")):
        stars, former, before = (int(number) for number in entry.split(","))
        ratings |= {stars, before, *ratings_of(former)}
    return ratings
