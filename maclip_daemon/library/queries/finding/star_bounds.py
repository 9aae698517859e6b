"""The range of scores that have some of maclip's stars, so that an index of scores answers for stars."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from maclip_daemon.library.storage.sql_views import ACTIVE_CONFIG, LIFTING


def bounds(snapshot: sqlite3.Connection, stars: Sequence[int]) -> tuple[str, list[float]]:
    """Return the range of scores that have these stars; none where stars come from another photo's score."""
    if not stars or snapshot.execute(_STARS_OF_OTHERS).fetchone():
        return "", []
    edges = snapshot.execute(
        "SELECT two_stars_from, three_stars_from, four_stars_from, five_stars_from FROM calibrations"
        f" WHERE scoring_config_id = {ACTIVE_CONFIG} ORDER BY number DESC LIMIT 1"
    ).fetchone()
    if edges is None:
        return "", []
    lowest, highest = min(stars), max(stars)
    text, values = "", []
    if lowest > 1:
        text, values = " AND s.score >= ?", [edges[lowest - 2]]
    if highest < 5:
        text, values = f"{text} AND s.score < ?", [*values, edges[highest - 1]]
    return text, values


# The best of a burst may be lifted; a JPEG that stands for its shot may have the stars of a RAW that failed.
_STARS_OF_OTHERS = (
    f"""SELECT 1 FROM notes WHERE key = '{LIFTING}' AND value = '"lift-best"' UNION ALL SELECT 1 FROM"""
    " (SELECT 1 FROM photos lead CROSS JOIN photo_pairs x ON x.raw_id = lead.id"
    " WHERE lead.state IN ('failed', 'waiting') LIMIT 1)"
)
