"""Calibration: where the stars begin on the user's own library, frozen and numbered.

Percentiles count half of the equal scores (mid-ranks), and a star belongs to a percentile: of a thousand
equal scores each is the 50th and has three stars, not one and not five. Photos that are missing count: a
drive that was unplugged must not move the stars of the others; `maclip purge` takes them out. The SQL that
gives a score its stars and percentile is in `storage/sql_views.py`.
"""

from __future__ import annotations

import sqlite3
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, cast

from sqlalchemy import bindparam, insert, select, text
from sqlalchemy.orm import Session

from maclip_daemon.library.results.mid_ranks import Edges, Shares, distribution_of, edges_of
from maclip_daemon.library.storage import timestamps
from maclip_daemon.library.storage.tables import CALIBRATIONS, QUANTILES

CalibrationSource = Literal["library", "reference", "absolute"]

GROWTH = 1.2  # renewed when the library has grown by a fifth


@dataclass(frozen=True)
class StarRule:
    """Where stars begin, by the settings and the model."""

    shares: Shares
    """Per cent of the photos that get 1, 2, 3, 4, 5 stars."""
    minimum_photos: int
    """A smaller library has no stars of its own."""
    reference_edges: Edges | None = None
    """Of the model, for a library that is still too small."""
    absolute_edges: Edges | None = None
    """Of the settings; they win over everything."""

    def choose(self, photo_count: int) -> tuple[CalibrationSource, tuple[float, ...]] | None:
        """Return where the edges come from, and the numbers that decide; None: there can be no stars yet."""
        if self.absolute_edges is not None:
            return "absolute", self.absolute_edges
        if photo_count >= self.minimum_photos:
            return "library", self.shares
        return None if self.reference_edges is None else ("reference", self.reference_edges)


@dataclass(frozen=True)
class Calibration:
    """One frozen calibration of a scoring configuration."""

    id: int
    number: int
    edges: Edges
    """The scores at which 2, 3, 4 and 5 stars begin."""
    photo_count: int
    source: CalibrationSource
    made_at: str


def current(session: Session, scoring_config_id: int) -> Calibration | None:
    """Return the calibration with the highest number; None: there is none yet."""
    row = session.execute(_LATEST, {"config": scoring_config_id}).first()
    if row is None:
        return None
    edges = (row.two_stars_from, row.three_stars_from, row.four_stars_from, row.five_stars_from)
    return Calibration(row.id, row.number, edges, row.photo_count, row.source, row.made_at)


_LATEST = (
    select(CALIBRATIONS)
    .where(CALIBRATIONS.c.scoring_config_id == bindparam("config"))
    .order_by(CALIBRATIONS.c.number.desc())
    .limit(1)
)


def needs_renewal(session: Session, scoring_config_id: int, rule: StarRule) -> bool:
    """Tell whether `renew` should make a new calibration now.

    True when the first one can be made, when `rule` has other shares or edges, when the library became large
    enough for stars of its own, or when it has grown by a fifth.
    """
    old = session.execute(_LATEST, {"config": scoring_config_id}).first()
    count = int(session.execute(_COUNT, {"config": scoring_config_id}).scalar_one())
    chosen = rule.choose(count)
    if old is None or chosen is None:
        return old is None and chosen is not None
    source, numbers = chosen
    if old.source != source or old.settings != [float(number) for number in numbers]:
        return True
    grown = count > old.photo_count and count >= GROWTH * old.photo_count
    return bool(grown and source != "reference")  # the model's own edges do not change with the library


def renew(session: Session, scoring_config_id: int, rule: StarRule, now: float) -> Calibration | None:
    """Freeze a new calibration from all scores of a scoring configuration; None: no stars yet."""
    scores = _sorted_scores(session, scoring_config_id)
    chosen = rule.choose(len(scores))
    if chosen is None:
        return None
    source, numbers = chosen
    edges = edges_of(scores, rule.shares) if source == "library" else cast("Edges", numbers)
    latest = session.execute(_LATEST, {"config": scoring_config_id}).first()
    added = insert(CALIBRATIONS).values(
        scoring_config_id=scoring_config_id,
        number=1 if latest is None else latest.number + 1,
        source=source,
        photo_count=len(scores),
        two_stars_from=edges[0],
        three_stars_from=edges[1],
        four_stars_from=edges[2],
        five_stars_from=edges[3],
        settings=[float(number) for number in numbers],
        made_at=timestamps.text(now),
    )
    calibration_id = session.execute(added.returning(CALIBRATIONS.c.id)).scalar_one()
    if len(scores) >= rule.minimum_photos:
        points = [
            {"calibration_id": calibration_id, "score": score, "percentile": percentile, "slope": slope}
            for score, percentile, slope in distribution_of(scores, edges)
        ]
        session.execute(insert(QUANTILES), points)
    return current(session, scoring_config_id)


# A pair of RAW and JPEG counts once, with the score of its RAW: the JPEGs' scores are taken out of what the
# index (scoring_config_id, score) holds. A subquery for each score would read a million rows of the table.
# CROSS JOIN keeps SQLite from beginning with the scores.
_FOLLOWING = (
    "SELECT s.score FROM photo_pairs pair"
    " CROSS JOIN scores s ON s.photo_id = pair.photo_id AND s.scoring_config_id = :config"
    " CROSS JOIN scores raw ON raw.photo_id = pair.raw_id AND raw.scoring_config_id = :config"
)
_COUNT = text(
    "SELECT (SELECT count(*) FROM scores WHERE scoring_config_id = :config)"
    f" - (SELECT count(*) FROM ({_FOLLOWING}))"
)


def _sorted_scores(session: Session, scoring_config_id: int) -> array[float]:
    """Read all scores in order, from the index alone: 8 bytes each, where a list takes 32."""
    driver = session.connection().connection.driver_connection
    assert isinstance(
        driver, sqlite3.Connection
    )  # without SQLAlchemy's rows: a million in a third of a second
    key = {"config": scoring_config_id}
    rows = driver.execute("SELECT score FROM scores WHERE scoring_config_id = :config ORDER BY score", key)
    scores = array("d", chain.from_iterable(rows))
    following = [score for (score,) in driver.execute(f"{_FOLLOWING} ORDER BY s.score", key)]
    return _without(scores, following) if following else scores


def _without(scores: array[float], taken: Sequence[float]) -> array[float]:
    """Return the sorted scores without those of `taken`, which are all among them."""
    left, start = array("d"), 0
    for score in taken:
        index = bisect_left(scores, score, start)
        left.extend(scores[start:index])
        start = index + 1
    left.extend(scores[start:])
    return left
