"""The cameras and lenses of a library, read from their indexes: a step for each name, not each photo."""

from __future__ import annotations

import sqlite3
from typing import Literal

Equipment = Literal["camera", "lens"]


def names(snapshot: sqlite3.Connection, what: Equipment) -> list[str]:
    """Return all cameras, or all lenses, in order."""
    rows = snapshot.execute(
        f"WITH RECURSIVE known (name) AS (SELECT (SELECT min({what}) FROM photos WHERE {what} IS NOT NULL)"
        f" UNION ALL SELECT (SELECT min({what}) FROM photos WHERE {what} > known.name) FROM known"
        " WHERE known.name IS NOT NULL) SELECT name FROM known WHERE name IS NOT NULL AND name <> ''"
    )
    return [name for (name,) in rows]


def matching(snapshot: sqlite3.Connection, what: Equipment, words: str) -> list[str]:
    """Return the name that is `words`, else all that contain them in any case."""
    known = names(snapshot, what)
    if words in known:
        return [words]
    return [name for name in known if words.casefold() in name.casefold()]
