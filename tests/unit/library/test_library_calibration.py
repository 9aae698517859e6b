from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest
from found_file import NOW
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete
from sqlalchemy.orm import Session

from maclip_daemon.library.photos import photo_records
from maclip_daemon.library.results import calibration, scores
from maclip_daemon.library.results.calibration import percentile_for, stars_for
from maclip_daemon.library.results.scores import ScoreRow
from maclip_daemon.library.storage.database import Library
from maclip_daemon.library.storage.tables import CALIBRATIONS, SCORES

SHARES = (10.0, 20.0, 40.0, 20.0, 10.0)
EDGES = (0.1, 0.2, 0.3, 0.4)
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
        scores.record_all(session, config, pairs, NOW)

    return fill


def renew(session: Session, config: int, **edges: object) -> calibration.Calibration | None:
    return calibration.renew(session, config, SHARES, 30, NOW, **edges)  # type: ignore[arg-type]


def test_a_hundred_photos_get_their_shares_exactly(
    session: Session, config: int, fill: Callable[[list[float]], None]
) -> None:
    values = [0.6 + number / 1000 for number in range(100)]
    fill(values[::-1])
    made = renew(session, config)
    assert made is not None
    assert (made.number, made.source, made.photo_count) == (1, "library", 100)
    assert Counter(stars_for(made, value) for value in values) == {1: 10, 2: 20, 3: 40, 4: 20, 5: 10}
    assert calibration.current(session, config) == made


def test_equal_scores_are_all_in_the_middle(
    session: Session, config: int, fill: Callable[[list[float]], None]
) -> None:
    fill([0.7] * 50)
    made = renew(session, config)
    assert made is not None
    assert (stars_for(made, 0.7), percentile_for(made, 0.7)) == (3, 50.0)
    assert (stars_for(made, 0.8), percentile_for(made, 0.8)) == (5, 100.0)
    assert (stars_for(made, 0.6), percentile_for(made, 0.6)) == (1, 0.0)


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
    percentiles = [percentile_for(made, value) for value in ordered]
    stars = [stars_for(made, value) for value in ordered]
    assert stars == sorted(stars)
    assert all(later >= earlier - 1e-6 for earlier, later in pairwise(percentiles))  # type: ignore[operator]
    for value, star, percentile in zip(ordered, stars, percentiles, strict=True):
        below = sum(other < value for other in values)
        equal = values.count(value)
        exact = 100 * (below + equal / 2) / len(values)
        assert percentile == pytest.approx(exact, abs=0.11)
        assert star == 1 + sum(exact >= edge for edge in (10, 30, 70, 90))


def test_the_view_shows_the_same_stars_and_percentiles(
    session: Session, config: int, fill: Callable[[list[float]], None], library: Library
) -> None:
    fill([0.6 + (number * 37 % 200) / 1000 for number in range(300)])
    made = renew(session, config)
    assert made is not None
    fill_more = scores.scoring_config_for(session, "maclip", "builtin", "spaq448").id
    root_photo = photo_records.find(session, "/photos/0.jpg")
    assert root_photo is not None
    scores.record(session, root_photo, fill_more, ScoreRow(0.1), NOW)
    session.commit()
    with library.reader() as reader:
        rows = reader.execute("SELECT score, stars, percentile FROM photo_quality").fetchall()
    assert len(rows) == 300
    for score, stars, percentile in rows:
        assert stars == stars_for(made, score)
        assert percentile == pytest.approx(percentile_for(made, score), abs=1e-9)


def test_a_small_library_has_the_models_stars_but_no_percentiles(
    session: Session, config: int, fill: Callable[[list[float]], None], add_photo: AddPhoto
) -> None:
    fill([0.15] * 20)
    assert not calibration.needs_renewal(session, config, SHARES, 30)
    assert renew(session, config) is None
    assert calibration.needs_renewal(session, config, SHARES, 30, reference_edges=EDGES)
    made = renew(session, config, reference_edges=EDGES)
    assert made is not None
    assert (made.source, stars_for(made, 0.15), percentile_for(made, 0.15)) == ("reference", 2, None)
    assert not calibration.needs_renewal(session, config, SHARES, 30, reference_edges=EDGES)
    for number in range(9):  # more than a fifth, and still too few for stars of their own
        scores.record(session, add_photo(f"/photos/more {number}.jpg"), config, ScoreRow(0.5), NOW)
    assert not calibration.needs_renewal(session, config, SHARES, 30, reference_edges=EDGES)


def test_absolute_edges_win_and_percentiles_stay(
    session: Session, config: int, fill: Callable[[list[float]], None]
) -> None:
    fill([number / 100 for number in range(50)])
    made = renew(session, config, absolute_edges=EDGES, reference_edges=(9.0, 9.0, 9.0, 9.0))
    assert made is not None
    assert (made.source, made.edges) == ("absolute", EDGES)
    assert percentile_for(made, 0.25) == pytest.approx(51.0)


def test_it_is_renewed_when_the_library_grew_by_a_fifth_or_the_settings_changed(
    session: Session, config: int, add_photo: AddPhoto
) -> None:
    def grow(name: str, number: int) -> None:
        for index in range(number):
            add_photo(f"/photos/{name}-{index}.jpg", 0.5 + index / 100)

    grow("first", 30)
    assert calibration.needs_renewal(session, config, SHARES, 30)
    first = renew(session, config)
    grow("second", 5)
    assert not calibration.needs_renewal(session, config, SHARES, 30)
    assert calibration.needs_renewal(session, config, (20.0, 20.0, 20.0, 20.0, 20.0), 30)
    assert calibration.needs_renewal(session, config, SHARES, 30, absolute_edges=EDGES)
    grow("third", 1)
    assert calibration.needs_renewal(session, config, SHARES, 30)
    second = renew(session, config)
    assert first is not None
    assert second is not None
    assert (first.number, second.number, second.photo_count) == (1, 2, 36)


def test_a_share_of_nothing_gives_no_photo_that_star(
    session: Session, config: int, fill: Callable[[list[float]], None]
) -> None:
    fill([number / 100 for number in range(60)])
    made = calibration.renew(session, config, (0.0, 50.0, 50.0, 0.0, 0.0), 30, NOW)
    assert made is not None
    assert Counter(stars_for(made, number / 100) for number in range(60)) == {2: 30, 3: 30}


def test_missing_photos_keep_their_place_in_the_distribution(
    session: Session, config: int, fill: Callable[[list[float]], None]
) -> None:
    fill([number / 100 for number in range(60)])
    before = renew(session, config)
    gone = [file.photo_id for file in photo_records.known_in_folder(session, "/photos").values()][:40]
    photo_records.mark_missing(session, gone, NOW)
    after = renew(session, config)
    assert before is not None
    assert after is not None
    assert after.edges == before.edges
