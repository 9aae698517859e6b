"""Calibration: where the stars begin on the user's own library, frozen and numbered.

Percentiles count half of the equal scores (mid-ranks), and a star belongs to a percentile: of a thousand
equal scores each is the 50th and has three stars, not one and not five. Photos that are missing count: a
drive that was unplugged must not move the stars of the others; `maclip purge` takes them out.
"""

from __future__ import annotations

import math
import sqlite3
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from sqlalchemy import bindparam, insert, select, text
from sqlalchemy.orm import Session

from maclip_daemon.library.results.mid_ranks import Edges as Edges
from maclip_daemon.library.results.mid_ranks import Shares as Shares
from maclip_daemon.library.results.mid_ranks import distribution_of, edges_of
from maclip_daemon.library.storage import timestamps
from maclip_daemon.library.storage.tables import CALIBRATIONS, QUANTILES

Source = Literal["library", "reference", "absolute"]

GROWTH = 1.2  # renewed when the library has grown by a fifth


@dataclass(frozen=True)
class Calibration:
    """One frozen calibration of a config."""

    id: int
    scoring_config_id: int
    number: int
    edges: Edges
    """The scores at which 2, 3, 4 and 5 stars begin."""
    quantiles: tuple[tuple[float, float, float], ...]
    """(score, percentile, slope), by score: percentile + slope · (s − score) from this score on. Empty
    where the library was too small: then there are stars but no percentiles."""
    photo_count: int
    source: Source
    made_at: str


def current(session: Session, scoring_config_id: int) -> Calibration | None:
    """Give the config's calibration with the highest number."""
    row = session.execute(
        select(CALIBRATIONS)
        .where(CALIBRATIONS.c.scoring_config_id == scoring_config_id)
        .order_by(CALIBRATIONS.c.number.desc())
        .limit(1)
    ).first()
    if row is None:
        return None
    quantiles = session.execute(
        select(QUANTILES.c.score, QUANTILES.c.percentile, QUANTILES.c.slope)
        .where(QUANTILES.c.calibration_id == row.id)
        .order_by(QUANTILES.c.score)
    )
    edges = (row.two_stars_from, row.three_stars_from, row.four_stars_from, row.five_stars_from)
    return Calibration(
        id=row.id,
        scoring_config_id=scoring_config_id,
        number=row.number,
        edges=edges,
        quantiles=tuple((score, percentile, slope) for score, percentile, slope in quantiles),
        photo_count=row.photo_count,
        source=row.source,
        made_at=row.made_at,
    )


def needs_renewal(
    session: Session,
    scoring_config_id: int,
    shares: Shares,
    minimum_photos: int,
    reference_edges: Edges | None = None,
    absolute_edges: Edges | None = None,
) -> bool:
    """Say whether `renew` should make a new calibration now.

    True when there is none yet and there could be one, when the settings ask for other shares or edges, when
    the library became large enough for stars of its own, or when it has grown by a fifth.
    """
    old = session.execute(_LATEST, {"config": scoring_config_id}).first()
    count = _count(session, scoring_config_id)
    source = _source(count, minimum_photos, reference_edges, absolute_edges)
    if old is None or source is None:
        return old is None and source is not None
    if old.source != source or old.settings != _settings(source, shares, reference_edges, absolute_edges):
        return True
    grown = count > old.photo_count and count >= GROWTH * old.photo_count
    return bool(grown and source != "reference")  # the model's own edges do not change with the library


_LATEST = (
    select(CALIBRATIONS.c.source, CALIBRATIONS.c.settings, CALIBRATIONS.c.photo_count, CALIBRATIONS.c.number)
    .where(CALIBRATIONS.c.scoring_config_id == bindparam("config"))
    .order_by(CALIBRATIONS.c.number.desc())
    .limit(1)
)


def renew(
    session: Session,
    scoring_config_id: int,
    shares: Shares,
    minimum_photos: int,
    now: float,
    reference_edges: Edges | None = None,
    absolute_edges: Edges | None = None,
) -> Calibration | None:
    """Freeze a new calibration from all scores of the config; None: too few photos, no edges given.

    `shares`: per cent of the photos that get 1, 2, 3, 4, 5 stars. `absolute_edges` win over the shares;
    `reference_edges` serve below `minimum_photos`.
    """
    scores = _sorted_scores(session, scoring_config_id)
    source = _source(len(scores), minimum_photos, reference_edges, absolute_edges)
    if source is None:
        return None
    edges = absolute_edges or (edges_of(scores, shares) if source == "library" else reference_edges)
    assert edges is not None
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
        settings=_settings(source, shares, reference_edges, absolute_edges),
        made_at=timestamps.text(now),
    )
    calibration_id = session.execute(added.returning(CALIBRATIONS.c.id)).scalar_one()
    if len(scores) >= minimum_photos:
        points = [
            {"calibration_id": calibration_id, "score": score, "percentile": percentile, "slope": slope}
            for score, percentile, slope in distribution_of(scores, edges)
        ]
        session.execute(insert(QUANTILES), points)
    return current(session, scoring_config_id)


def stars_for(calibration: Calibration, score: float) -> int:
    """Give 1 to 5 stars: one, and one more for every edge the score reaches."""
    return 1 + sum(score >= edge for edge in calibration.edges)


def percentile_for(calibration: Calibration, score: float) -> float | None:
    """Give the per cent of the calibrated photos below the score (half of the equal ones count): 0 to 100.

    None where the calibration has no distribution. The view `photo_quality` computes the same number.
    """
    if not calibration.quantiles:
        return None
    position = bisect_right(calibration.quantiles, (score, math.inf, math.inf))
    if position == 0:
        return 0.0
    low, percentile, slope = calibration.quantiles[position - 1]
    return percentile + slope * (score - low)


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


def _count(session: Session, scoring_config_id: int) -> int:
    return int(session.execute(_COUNT, {"config": scoring_config_id}).scalar_one())


def _source(
    count: int, minimum_photos: int, reference_edges: Edges | None, absolute_edges: Edges | None
) -> Source | None:
    if absolute_edges is not None:
        return "absolute"
    if count >= minimum_photos:
        return "library"
    return None if reference_edges is None else "reference"


def _settings(
    source: Source, shares: Shares, reference_edges: Edges | None, absolute_edges: Edges | None
) -> list[float]:
    """Give the numbers of the settings and the model that the edges came from."""
    chosen = {"library": shares, "reference": reference_edges, "absolute": absolute_edges}[source]
    return [float(number) for number in chosen or ()]


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
    """Give the sorted scores without those taken, each of which is among them."""
    left, start = array("d"), 0
    for score in taken:
        index = bisect_left(scores, score, start)
        left.extend(scores[start:index])
        start = index + 1
    left.extend(scores[start:])
    return left
