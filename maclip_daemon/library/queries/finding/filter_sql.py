"""A filter as SQL: conditions on `photos p` with `scores s`, and the ids that an index knows for each.

What an index answers with few ids is read in its own order; everything else in the order of the scores.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from maclip_daemon.library.queries.finding import equipment, shots
from maclip_daemon.library.queries.finding.folder_ranges import is_under_any, photos_at
from maclip_daemon.library.queries.finding.photo_filter import PhotoFilter
from maclip_daemon.library.storage.sql_views import RAW_AND_CALIBRATION, STARS

FEW = 20_000  # photos; looking up and sorting so many takes a tenth of a second
MANY = 200_000  # photos; looking up so many in the order of their rows is quicker than reading all rows
_REASONS = {
    "any": "%",
    "not sharp": "%not sharp anywhere%",
    "moved": "%moved % px%",
    "noise": "%noise:%",
    "clipped highlights": "%highlights clipped:%",
    "underexposed": "%underexposed:%",
    "JPEG blocks": "%JPEG blocks%",
    "enlarged": "%enlarged % times%",
}
"""How the reasons of `photos/measures/reasons.py` are found in `measures.reasons`."""


@dataclass(frozen=True)
class Criterion:
    """One condition of a filter."""

    condition: str
    values: Sequence[Any] = ()
    ids: str = ""
    """The query for the ids of all photos that may fit, without repetition; empty: no index knows them."""
    id_values: Sequence[Any] = ()
    counted: str = ""
    """The part of `ids` to count, which takes the first of `id_values`; empty: all of it."""
    is_searched: bool = False
    """Whether `ids` reads a whole index, so that it is asked once, and after all others."""


@dataclass(frozen=True)
class Criteria:
    """A filter as SQL."""

    of_photos: list[Criterion] = field(default_factory=list)
    of_folders: list[Criterion] = field(default_factory=list)

    @property
    def all(self) -> list[Criterion]:
        """Return all conditions."""
        return [*self.of_photos, *self.of_folders]

    def where(self) -> tuple[str, list[Any]]:
        """Return one condition, which begins with AND, and its values; '' without any."""
        text = "".join(f" AND {each.condition}" for each in self.all)
        return text, [value for each in self.all for value in each.values]


def criteria(snapshot: sqlite3.Connection, chosen: PhotoFilter) -> Criteria:
    """Return the conditions of a filter."""
    return Criteria(list(_of_photos(snapshot, chosen)), list(_of_folders(chosen)))


def few_ids(
    snapshot: sqlite3.Connection, known: Iterable[Criterion], most: int | None = None
) -> tuple[str, Sequence[Any]] | None:
    """Return the shortest list of ids as a query with its values; None where each is long or unknown.

    `most`: the longest list; `FEW` without it.
    """
    most = FEW if most is None else most
    listed = [each for each in known if each.ids]
    lengths = [(_length(snapshot, each, most), each) for each in listed if not each.is_searched]
    length, shortest = min(lengths, key=lambda pair: pair[0], default=(most + 1, None))
    if shortest is not None and length <= most:
        return shortest.ids, shortest.id_values
    searched = (_searched(snapshot, each) for each in listed if each.is_searched)
    return next((found for found in searched if found is not None), None)


def in_rows(snapshot: sqlite3.Connection, known: Iterable[Criterion]) -> tuple[str, Sequence[Any]]:
    """Return a source of `photos p` in about the order of their rows, with its values.

    A filter that few photos pass reads nearly all: one row after the other, not all over the file as in
    the order of the scores.
    """
    known = list(known)
    listed = [each for each in known if not each.is_searched]
    if found := few_ids(snapshot, known) or few_ids(snapshot, listed, MANY):
        return f"({found[0]}) few CROSS JOIN photos p ON p.id = few.id", found[1]
    return "photos p NOT INDEXED", []


def _length(snapshot: sqlite3.Connection, criterion: Criterion, most: int) -> int:
    counted = criterion.counted or criterion.ids
    values = criterion.id_values[: counted.count("?")]
    (length,) = snapshot.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM ({counted}) LIMIT {most + 1})", values
    ).fetchone()
    return int(length)


def _searched(snapshot: sqlite3.Connection, criterion: Criterion) -> tuple[str, Sequence[Any]] | None:
    """Return the ids themselves as a query; None for more than `FEW`."""
    (text,) = snapshot.execute(
        f"SELECT group_concat(id) FROM (SELECT id FROM ({criterion.ids}) LIMIT {FEW + 1})",
        criterion.id_values,
    ).fetchone()
    if text is not None and text.count(",") >= FEW:
        return None
    return "SELECT value AS id FROM json_each(?)", [f"[{text or ''}]"]


def _of_photos(snapshot: sqlite3.Connection, chosen: PhotoFilter) -> Iterable[Criterion]:
    if chosen.camera:
        yield _equipment(snapshot, "camera", chosen.camera)
    if chosen.lens:
        yield _equipment(snapshot, "lens", chosen.lens)
    if chosen.since or chosen.until:
        yield _taken(chosen)
    if chosen.mine != "any":
        condition, values, ids = shots.decided(chosen.mine)
        counted = ids.partition(" UNION ")[0]
        yield Criterion(condition, values, ids, values, counted)
    if chosen.kind:
        yield _kind(chosen.kind)
    if chosen.reason:
        pattern = [_REASONS[chosen.reason]]
        ids = "SELECT photo_id AS id FROM measures WHERE reasons IS NOT NULL AND reasons LIKE ?"
        found = "EXISTS (SELECT 1 FROM measures lacking WHERE lacking.photo_id = p.id AND reasons LIKE ?)"
        yield Criterion(found, pattern, ids, pattern)
    if chosen.stars:
        # A scalar subquery, so that the query around it needs no join of its own.
        stars = f"(SELECT {STARS} FROM (SELECT 1) {RAW_AND_CALIBRATION})"
        yield Criterion(f"{stars} IN ({', '.join('?' * len(chosen.stars))})", chosen.stars)
    if chosen.name:
        pattern = [f"%{_escaped(chosen.name)}%"]
        within = "file_name LIKE ? ESCAPE '\\'"
        # The index of folders and names is a tenth of the table.
        ids = f"SELECT id FROM photos INDEXED BY sqlite_autoindex_photos_1 WHERE {within}"
        yield Criterion(f"p.{within}", pattern, ids, pattern, is_searched=True)


def _equipment(snapshot: sqlite3.Connection, what: equipment.Equipment, words: str) -> Criterion:
    names = equipment.matching(snapshot, what, words)
    marks = ", ".join("?" * len(names))
    ids = f"SELECT id FROM photos WHERE {what} IN ({marks})"
    return Criterion(f"p.{what} IN ({marks})", names, ids, names)


def _taken(chosen: PhotoFilter) -> Criterion:
    """Return the condition on the day of taking; "~" follows every character of a time."""
    bounds = [(">= ?", chosen.since)] if chosen.since else []
    bounds += [("< ?", f"{chosen.until}~")] if chosen.until else []
    values = [value for _, value in bounds]

    def of(column: str) -> str:
        return " AND ".join(f"{column} {comparison}" for comparison, _ in bounds)

    return Criterion(of("p.taken_at"), values, f"SELECT id FROM photos WHERE {of('taken_at')}", values)


def _kind(kind: str) -> Criterion:
    if kind == "any":
        grouped = "SELECT photo_id AS id FROM burst_frames WHERE burst_id IS NOT NULL"
        mine = "EXISTS (SELECT 1 FROM burst_frames mine WHERE mine.photo_id = p.id AND burst_id IS NOT NULL)"
        return Criterion(mine, (), grouped)
    ids = (
        "SELECT frame.photo_id AS id FROM bursts one CROSS JOIN burst_frames frame ON frame.burst_id = one.id"
        " WHERE one.kind = ?"
    )
    mine = (
        "EXISTS (SELECT 1 FROM burst_frames mine JOIN bursts one ON one.id = mine.burst_id"
        " WHERE mine.photo_id = p.id AND one.kind = ?)"
    )
    return Criterion(mine, [kind], ids, [kind])


def _of_folders(chosen: PhotoFilter) -> Iterable[Criterion]:
    for paths in ((chosen.folder,), chosen.under):
        if not any(paths):
            continue
        within, folders = is_under_any("path", paths)
        at, photos = photos_at(paths)
        below = f"SELECT id FROM folders WHERE {within}"
        in_folders = f"SELECT p.id FROM folders f CROSS JOIN photos p ON p.folder_id = f.id WHERE {within}"
        yield Criterion(
            f"(p.folder_id IN ({below}) OR p.id IN ({at}))",
            [*folders, *photos],
            f"{in_folders} UNION {at}",
            [*folders, *photos],
            in_folders,
        )


def _escaped(part: str) -> str:
    return part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
