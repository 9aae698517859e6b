"""The groups of photos of one moment, as commands and the page show them. Functions of a snapshot."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from maclip_daemon.library.queries.finding.folder_ranges import is_under
from maclip_daemon.library.storage import stored_paths
from maclip_daemon.library.storage.sql_views import ACTIVE_CONFIG, FIRST_AT, LAST_AT

FEW = 20_000  # photos of a folder whose groups are looked up
RANKED_KINDS = ("burst", "duplicate")  # one frame is better; of other kinds all are kept


@dataclass(frozen=True)
class BurstMember:
    """One file of a group."""

    photo_id: int
    path: str
    rank: int | None
    """1 the best; a RAW and its JPEG share it. None where no frame is better."""
    score: float | None
    is_too_close: bool
    """Whether the best frame leads it by less than re-framing alone moves a score."""


@dataclass(frozen=True)
class Burst:
    """A group with its files, the best first; where none is better, in the order they were taken."""

    burst_id: int
    kind: str
    members: int
    """Shots: a RAW and its JPEG are one."""
    best: str | None
    margin: float | None
    too_close_to_call: bool
    first_at: str
    last_at: str
    frames: tuple[BurstMember, ...]

    @property
    def others(self) -> list[BurstMember]:
        """Return the files of the shots that are not the best; none where all are kept."""
        return [frame for frame in self.frames if frame.rank is not None and frame.rank > 1]


def bursts(
    snapshot: sqlite3.Connection, under: str | None = None, *, limit: int | None = None, after: int = 0
) -> Iterator[Burst]:
    """Yield the groups (with a photo below the folder `under`), the latest first.

    `after`: skip so many. Missing photos are left out; a group of which one photo is left is none.
    """
    condition, values = _with_photo_under(snapshot, under)
    rows = snapshot.execute(
        f"{_BURSTS} WHERE {condition} ORDER BY b.first_moment DESC, b.id DESC LIMIT ? OFFSET ?",
        (*values, -1 if limit is None else limit, after),
    )
    for row in rows:
        found = _burst(snapshot, row)
        if len(found.frames) > 1:
            yield found


def _with_photo_under(
    snapshot: sqlite3.Connection, under: str | None
) -> tuple[str, Sequence[stored_paths.StoredPath]]:
    """Return the condition that a group has a photo below a folder, and its values.

    The groups of a folder with few photos are looked up; else the latest groups are asked one by one.
    """
    if under is None:
        return "EXISTS (SELECT 1 FROM burst_frames m WHERE m.burst_id = b.id)", []
    condition, values = is_under("f.path", under)
    folders = "folders f CROSS JOIN photos p ON p.folder_id = f.id"
    (count,) = snapshot.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM {folders} WHERE {condition} LIMIT {FEW + 1})", values
    ).fetchone()
    if count <= FEW:
        frames = f"{folders} CROSS JOIN burst_frames m ON m.photo_id = p.id"
        return f"b.id IN (SELECT m.burst_id FROM {frames} WHERE {condition})", values
    return (
        "EXISTS (SELECT 1 FROM burst_frames m JOIN photos p ON p.id = m.photo_id"
        f" JOIN folders f ON f.id = p.folder_id WHERE m.burst_id = b.id AND {condition})",
        values,
    )


def burst_of(snapshot: sqlite3.Connection, photo_id: int) -> Burst | None:
    """Return the group of a photo; None when it is alone."""
    row = snapshot.execute(
        f"{_BURSTS} WHERE b.id = (SELECT burst_id FROM burst_frames WHERE photo_id = ?)", (photo_id,)
    ).fetchone()
    found = None if row is None else _burst(snapshot, row)
    return found if found is not None and len(found.frames) > 1 else None


def burst_at(snapshot: sqlite3.Connection, path: str) -> Burst | None:
    """Return the group of the photo at `path`; None when it is alone or unknown."""
    folder, name = stored_paths.split(path)
    row = snapshot.execute(
        "SELECT p.id FROM folders f JOIN photos p ON p.folder_id = f.id WHERE f.path = ? AND p.file_name = ?"
        " AND p.state <> 'missing'",
        (stored_paths.stored(folder), stored_paths.stored(name)),
    ).fetchone()
    return None if row is None else burst_of(snapshot, row[0])


_BURSTS = (
    "SELECT b.id, b.kind, b.members, b.best_id, b.margin, b.is_close, b.spread,"
    f" {FIRST_AT}, {LAST_AT} FROM bursts b"
)
_MEMBERS = (
    "SELECT m.photo_id, f.path, p.file_name, m.burst_rank, s.score, coalesce(s.detail_score, s.score)"
    " FROM burst_frames m"
    " JOIN photos p ON p.id = m.photo_id JOIN folders f ON f.id = p.folder_id"
    f" LEFT JOIN scores s ON s.photo_id = m.photo_id AND s.scoring_config_id = {ACTIVE_CONFIG}"
    " WHERE m.burst_id = ? AND p.state <> 'missing'"
    " ORDER BY m.burst_rank IS NULL, m.burst_rank, m.photo_id <> ?, m.moment, m.name_order, m.photo_id"
)


def _burst(
    snapshot: sqlite3.Connection, row: tuple[int, str, int, int, float, int, float, str, str]
) -> Burst:
    burst_id, kind, members, best_id, margin, is_close, spread, first_at, last_at = row
    rows = snapshot.execute(_MEMBERS, (burst_id, best_id)).fetchall()
    best_score = next((judged for number, *_, judged in rows if number == best_id), None)
    frames = tuple(
        BurstMember(
            number,
            stored_paths.join(folder, name),
            rank,
            score,
            _is_too_close(best_score, judged, spread, rank),
        )
        for number, folder, name, rank, score, judged in rows
    )
    best = next((frame.path for frame in frames if frame.photo_id == best_id), None)
    return Burst(burst_id, kind, members, best, margin, bool(is_close), first_at, last_at, frames)


def _is_too_close(best: float | None, score: float | None, spread: float | None, rank: int | None) -> bool:
    """Return whether a frame may be as good as the best: differences spread √2 as much as scores."""
    if best is None or score is None or spread is None or rank in (None, 1):
        return False
    return best - score < 2**0.5 * spread
