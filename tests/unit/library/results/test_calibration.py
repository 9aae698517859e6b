from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest
from found_file import NOW
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, text
from sqlalchemy.orm import Session

from maclip_daemon.library.photos import missing_photos
from maclip_daemon.library.results import calibration, scores
from maclip_daemon.library.results.calibration import StarRule
from maclip_daemon.library.results.rating_subjects import rating_subjects
from maclip_daemon.library.results.scores import ScoreRow
from maclip_daemon.library.storage import photo_paths
from maclip_daemon.library.storage.database import Library
from maclip_daemon.library.storage.sql_views import PERCENTILE, RAW_AND_CALIBRATION, STARS
from maclip_daemon.library.storage.tables import CALIBRATIONS, SCORES

SHARES = (10.0, 20.0, 40.0, 20.0, 10.0)
EDGES = (0.1, 0.2, 0.3, 0.4)
RULE = StarRule(SHARES, 30)
TIED = st.sampled_from([number / 7 for number in range(-9, 9)])
AddPhoto = Callable[..., int]


@pytest.fixture
def config(session: Session) -> int:
    found = scores.scoring_config_for(session, "maclip", "builtin", "spaq448")
    scores.activate(session, found.id)
    return found.id


@pytest.fixture
def fill(session: Session, config: int, add_photo: AddPhoto) -> Callable[[list[float]], None]:
    ids: list[int] = []

    def fill(values: list[float]) -> None:
        while len(ids) < len(values):
            ids.append(add_photo(f"/photos/{len(ids)}.jpg"))
        session.execute(delete(SCORES))
        session.execute(delete(CALIBRATIONS))
        pairs = [(ids[index], ScoreRow(value)) for index, value in enumerate(values)]
        scores.record(session, config, pairs, NOW)

    return fill


def renew(session: Session, config: int, rule: StarRule = RULE) -> calibration.Calibration | None:
    return calibration.renew(session, config, rule, NOW)


def stars_and_percentile(session: Session, config: int, score: float) -> tuple[int | None, float | None]:
    """Return what the SQL of the view and of the rating stage makes of a score."""
    query = (
        f"SELECT {STARS}, {PERCENTILE} FROM"
        " (SELECT :score AS score, :config AS scoring_config_id, NULL AS photo_id) s"
        f" {RAW_AND_CALIBRATION}"
    )
    stars, percentile = session.execute(text(query), {"score": score, "config": config}).one()
    return stars, percentile


def stars_of(session: Session, config: int, scores_: list[float]) -> Counter[int | None]:
    return Counter(stars_and_percentile(session, config, score)[0] for score in scores_)


def test_a_hundred_photos_get_their_shares_exactly(
    session: Session, config: int, fill: Callable[[list[float]], None]
) -> None:
    values = [0.6 + number / 1000 for number in range(100)]
    fill(values[::-1])
    made = renew(session, config)
    assert made is not None
    assert (made.number, made.source, made.photo_count) == (1, "library", 100)
    assert stars_of(session, config, values) == {1: 10, 2: 20, 3: 40, 4: 20, 5: 10}
    assert calibration.current(session, config) == made


def test_equal_scores_are_all_in_the_middle(
    session: Session, config: int, fill: Callable[[list[float]], None]
) -> None:
    fill([0.7] * 50)
    made = renew(session, config)
    assert made is not None
    assert stars_and_percentile(session, config, 0.7) == (3, 50.0)
    assert stars_and_percentile(session, config, 0.8) == (5, 100.0)
    assert stars_and_percentile(session, config, 0.6) == (1, 0.0)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(
        st.sampled_from([n / 7 for n in range(-9, 9)]) | st.floats(-2, 2), min_size=30, max_size=90
    )
)
def test_stars_and_percentiles_agree_and_never_fall_when_the_score_rises(
    session: Session, config: int, fill: Callable[[list[float]], None], values: list[float]
) -> None:
    fill(values)
    made = renew(session, config)
    assert made is not None
    ordered = sorted(values)
    stars, percentiles = zip(
        *(stars_and_percentile(session, config, value) for value in ordered), strict=True
    )
    assert list(stars) == sorted(stars)
    assert all(later >= earlier - 1e-6 for earlier, later in pairwise(percentiles))  # type: ignore[operator]
    for value, star, percentile in zip(ordered, stars, percentiles, strict=True):
        below = sum(other < value for other in values)
        equal = values.count(value)
        exact = 100 * (below + equal / 2) / len(values)
        assert percentile == pytest.approx(exact, abs=0.11)
        assert star == 1 + sum(exact >= edge for edge in (10, 30, 70, 90))


def test_the_view_shows_the_stars_and_percentiles_that_are_written(
    session: Session, config: int, fill: Callable[[list[float]], None], library: Library
) -> None:
    fill([0.6 + (number * 37 % 200) / 1000 for number in range(300)])
    made = renew(session, config)
    assert made is not None
    photo = photo_paths.find_photo(session, "/photos/0.jpg")
    assert photo is not None
    scores.record(session, config, [(photo, ScoreRow(0.1))], NOW)
    photos = [file.photo_id for file in photo_paths.known_in_folder(session, "/photos").values()]
    written = [(s.path, s.score, s.stars, s.percentile) for s in rating_subjects(session, photos)]
    session.commit()
    with library.snapshot() as snapshot:
        rows = snapshot.execute("SELECT path, score, stars, percentile FROM photo_quality").fetchall()
    assert len(rows) == 300
    assert sorted(written) == sorted(rows)


def test_a_small_library_has_the_models_stars_but_no_percentiles(
    session: Session, config: int, fill: Callable[[list[float]], None], add_photo: AddPhoto
) -> None:
    fill([0.15] * 20)
    assert not calibration.needs_renewal(session, config, RULE)
    assert renew(session, config) is None
    rule = StarRule(SHARES, 30, reference_edges=EDGES)
    assert calibration.needs_renewal(session, config, rule)
    made = renew(session, config, rule)
    assert made is not None
    assert (made.source, *stars_and_percentile(session, config, 0.15)) == ("reference", 2, None)
    assert not calibration.needs_renewal(session, config, rule)
    for number in range(9):  # more than a fifth, and still too few for stars of their own
        photo = add_photo(f"/photos/more {number}.jpg")
        scores.record(session, config, [(photo, ScoreRow(0.5))], NOW)
    assert not calibration.needs_renewal(session, config, rule)


def test_absolute_edges_win_and_percentiles_stay(
    session: Session, config: int, fill: Callable[[list[float]], None]
) -> None:
    fill([number / 100 for number in range(50)])
    made = renew(session, config, StarRule(SHARES, 30, (9.0, 9.0, 9.0, 9.0), EDGES))
    assert made is not None
    assert (made.source, made.edges) == ("absolute", EDGES)
    assert stars_and_percentile(session, config, 0.25) == (3, pytest.approx(51.0))


def test_it_is_renewed_when_the_library_grew_by_a_fifth_or_the_settings_changed(
    session: Session, config: int, add_photo: AddPhoto
) -> None:
    def grow(name: str, number: int) -> None:
        for index in range(number):
            add_photo(f"/photos/{name}-{index}.jpg", 0.5 + index / 100)

    grow("first", 30)
    assert calibration.needs_renewal(session, config, RULE)
    first = renew(session, config)
    grow("second", 5)
    assert not calibration.needs_renewal(session, config, RULE)
    assert calibration.needs_renewal(session, config, StarRule((20.0, 20.0, 20.0, 20.0, 20.0), 30))
    assert calibration.needs_renewal(session, config, StarRule(SHARES, 30, None, EDGES))
    grow("third", 1)
    assert calibration.needs_renewal(session, config, RULE)
    second = renew(session, config)
    assert first is not None
    assert second is not None
    assert (first.number, second.number, second.photo_count) == (1, 2, 36)


def test_a_share_of_nothing_gives_no_photo_that_star(
    session: Session, config: int, fill: Callable[[list[float]], None]
) -> None:
    fill([number / 100 for number in range(60)])
    made = renew(session, config, StarRule((0.0, 50.0, 50.0, 0.0, 0.0), 30))
    assert made is not None
    assert stars_of(session, config, [number / 100 for number in range(60)]) == {2: 30, 3: 30}


def test_missing_photos_keep_their_place_in_the_distribution(
    session: Session, config: int, fill: Callable[[list[float]], None]
) -> None:
    fill([number / 100 for number in range(60)])
    before = renew(session, config)
    gone = [file.photo_id for file in photo_paths.known_in_folder(session, "/photos").values()][:40]
    missing_photos.mark_missing(session, gone, NOW)
    after = renew(session, config)
    assert before is not None
    assert after is not None
    assert after.edges == before.edges
