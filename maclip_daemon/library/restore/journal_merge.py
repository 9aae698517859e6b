"""Merge the journal of the library in use, and what a person decided, into the one that replaces it.

Without this, files that were written after the backup could not be undone, and would count as a person's.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass

from maclip_daemon.library.restore import decision_merge
from maclip_daemon.library.restore.former_library import (
    JOURNAL_COLUMNS,
    RATING_COLUMNS,
    FormerLibrary,
    PhotoKey,
    Row,
)
from maclip_daemon.library.restore.photo_match import same_photo
from maclip_daemon.library.results.hold_order import ENDED_NOTE

_ADDED = tuple(name for name in JOURNAL_COLUMNS if name != "id")
_STATES = ("intended", "written", "undone")  # an abandoned write left its file as it was
# What comes of an entry, in order. Its times alone do not tell, for a clock may have been set.
_RANKS = {"intended": 0, "abandoned": 1, "written": 1, "undone": 2}


@dataclass
class MergeReport:
    """What one library took over from the other."""

    added: int = 0
    """Journal entries that only the other one had."""
    changed: int = 0
    """Entries that went on since, such as from written to undone."""
    ratings: int = 0
    """Photos whose rating, or whose owner, had changed since."""
    unreadable: int = 0
    """Entries of the other one that are damaged."""
    decisions_left: int = 0
    """Decisions that wait to be written, for photos that the new library does not know."""
    decisions_unreadable: int = 0
    """Decisions that are damaged: those of the new library stay as they are."""
    is_readable: bool = True
    """False: nothing of the other library could be read."""

    @property
    def is_complete(self) -> bool:
        """Return whether nothing of the other journal is missing."""
        return self.is_readable and not self.unreadable and not self.decisions_unreadable


def merge(new: sqlite3.Connection, former: FormerLibrary) -> MergeReport:
    """Merge `former` into the library `new`, inside its open transaction; return what was taken over."""
    report = MergeReport()
    for entries in former.entries():
        photo_ids = sorted({row["photo_id"] for row in entries if row["photo_id"] is not None})
        keys = former.keys(photo_ids)
        for entry in entries:
            _merge_entry(new, entry, keys.get(entry["photo_id"]), report)
    if new.execute("SELECT 1 FROM photos").fetchone() is not None:
        has_picks = new.execute("SELECT 1 FROM photos WHERE is_picked = 1").fetchone() is not None
        for photos in former.photos():
            report.ratings += sum(_merge_rating(new, row, key, has_picks) for row, key in photos)
    report.decisions_left = decision_merge.merge(new, former)
    if (ended := former.note(ENDED_NOTE)) is not None:
        _end_holds(new, ended)
    report.unreadable, report.decisions_unreadable = former.unreadable, former.unreadable_decisions
    return report


def _end_holds(new: sqlite3.Connection, ended: str) -> None:
    """End the holds that `maclip rate` ended at this time, unless the backup knows of it."""
    known = new.execute("SELECT value FROM notes WHERE key = ?", (ENDED_NOTE,)).fetchone()
    if known is not None and json.loads(known[0]) >= ended:
        return
    values = (ENDED_NOTE, json.dumps(ended), ended)
    new.execute("INSERT OR REPLACE INTO notes (key, value, changed_at) VALUES (?, ?, ?)", values)
    new.execute("UPDATE photos SET rating_undone_at = NULL WHERE rating_undone_at <= ?", (ended,))


def _merge_entry(new: sqlite3.Connection, entry: Row, key: PhotoKey | None, report: MergeReport) -> None:
    if entry["after_hash"] is None or entry["target_path"] is None:
        return
    if key is not None and entry["pixel_hash"] is None:
        entry["pixel_hash"] = key.pixel_hash
    known = _known_entry(new, entry)
    if known is not None:
        report.changed += _go_on(new, known, entry)
    elif entry["state"] in _STATES and not _is_adopted_already(new, entry):
        entry["photo_id"] = None if key is None else same_photo(new, key)
        try:
            new.execute(_INSERT, [entry[name] for name in _ADDED])
        except sqlite3.IntegrityError:  # of a newer version, or damaged
            report.unreadable += 1
        else:
            report.added += 1


_INSERT = f"INSERT INTO rating_journal ({', '.join(_ADDED)}) VALUES ({', '.join('?' * len(_ADDED))})"


_KNOWN = ("id", "state", "settled_at", "target_path", "origin_path")


def _known_entry(new: sqlite3.Connection, entry: Row) -> Row | None:
    """Return the same entry in `new`; a backup has it under the same number."""
    found = new.execute(
        f"SELECT {', '.join(_KNOWN)} FROM rating_journal"
        " WHERE after_hash = ? AND intended_at = ? AND kind = ?",
        (entry["after_hash"], entry["intended_at"], entry["kind"]),
    )
    candidates: list[Row] = [dict(zip(_KNOWN, row, strict=True)) for row in found]
    paths = {entry["target_path"], entry["origin_path"]} - {None}
    same = [row for row in candidates if row["id"] == entry["id"]]
    same += [row for row in candidates if paths & {row["target_path"], row["origin_path"]}]
    return same[0] if same else None


def _go_on(new: sqlite3.Connection, known: Row, entry: Row) -> bool:
    """Bring a known entry to where the library in use has it; return whether its state differed."""
    paths = (entry["target_path"], entry["origin_path"])
    if paths != (known["target_path"], known["origin_path"]):
        new.execute(
            "UPDATE rating_journal SET target_path = ?, origin_path = ? WHERE id = ?", (*paths, known["id"])
        )
    if entry["state"] not in _RANKS or entry["state"] == known["state"] or _order(entry) < _order(known):
        return False
    new.execute(
        "UPDATE rating_journal SET state = ?, settled_at = ?, restore_data = ? WHERE id = ?",
        (entry["state"], entry["settled_at"], entry["restore_data"], known["id"]),
    )
    return True


def _order(entry: Row) -> tuple[int, str]:
    return _RANKS.get(entry["state"], -1), str(entry["settled_at"] or "")


def _is_adopted_already(new: sqlite3.Connection, entry: Row) -> bool:
    """Return whether an adopted entry stands for a write that `new` has in full."""
    if entry["adopted_from"] is None:
        return False
    known = new.execute(
        "SELECT 1 FROM rating_journal WHERE after_hash = ? AND target_path = ? AND state = 'written'",
        (entry["after_hash"], entry["target_path"]),
    )
    return known.fetchone() is not None


def _merge_rating(new: sqlite3.Connection, row: Row, key: PhotoKey, has_picks: bool) -> bool:
    """Take over whose rating a photo has, and whether it is picked; return whether that differed.

    A library that never rated the photo knows nothing about its rating. `has_picks`: whether `new` has any.
    """
    knows = row["rating_owner"] not in (None, "none") or row["rating_undone_at"] or row["stars_written"]
    columns = RATING_COLUMNS if knows else ()
    if row["is_picked"] is not None and (knows or row["is_picked"] or has_picks):  # earlier versions: None
        columns = (*columns, "is_picked")
    photo_id = same_photo(new, key) if columns else None
    if photo_id is None:
        return False
    query = f"SELECT {', '.join(columns)} FROM photos WHERE id = ?"
    present = new.execute(query, (photo_id,)).fetchone()
    found = tuple(row[name] for name in columns)
    if present == found:
        return False
    assignments = ", ".join(f"{name} = ?" for name in columns)
    try:
        new.execute(f"UPDATE photos SET {assignments} WHERE id = ?", (*found, photo_id))
    except sqlite3.IntegrityError:
        return False
    return True
