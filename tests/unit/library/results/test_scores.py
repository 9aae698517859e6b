import math
from collections.abc import Callable

import pytest
from found_file import NOW
from sqlalchemy import text
from sqlalchemy.orm import Session

from maclip_daemon.errors import Poison
from maclip_daemon.library.photos import missing_photos, photo_info
from maclip_daemon.library.queue import jobs, leases
from maclip_daemon.library.queue.jobs import JobCounts
from maclip_daemon.library.results import scores
from maclip_daemon.library.results.scores import ScoreRow
from maclip_daemon.library.storage import photo_paths

AddPhoto = Callable[..., int]


@pytest.fixture
def config(session: Session) -> int:
    found = scores.scoring_config_for(session, "maclip", "builtin", "spaq448")
    scores.activate(session, found.id)
    return found.id


def state_of(session: Session, name: str) -> str:
    return photo_paths.known_in_folder(session, "/photos")[name].state


def test_a_scoring_config_is_known_by_its_three_names(session: Session, config: int) -> None:
    assert scores.scoring_config_for(session, "maclip", "builtin", "spaq448").id == config
    assert scores.scoring_config_for(session, "maclip", "builtin", "native").id != config
    assert scores.active_scoring_config(session) == scores.StoredConfig(
        config, "maclip", "builtin", "spaq448"
    )


def test_a_second_score_replaces_the_first(session: Session, config: int, add_photo: AddPhoto) -> None:
    photo = add_photo("/photos/a.jpg")
    photo_info.set_photo_info(session, {photo: photo_info.PhotoInfo(1, 1, None, "p")})
    for value in (0.2, 0.7):
        row = ScoreRow(value, q_sim=0.1, details={"views": [value]})
        scores.record(session, config, [(photo, row)], NOW)
    assert scores.find_by_pixel_hash(session, "p", config) == ScoreRow(
        0.7, q_sim=0.1, details={"views": [0.7]}
    )
    assert scores.find_by_pixel_hash(session, "q", config) is None
    assert scores.find_by_pixel_hash(session, "p", config + 1) is None
    assert state_of(session, "a.jpg") == "scored"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["score", "q_mag", "view_spread"])
def test_a_score_that_is_not_finite_is_never_stored(
    session: Session, config: int, add_photo: AddPhoto, name: str, value: float
) -> None:
    photo = add_photo("/photos/a.jpg")
    with pytest.raises(Poison, match=name):
        scores.record(session, config, [(photo, ScoreRow(**{"score": 0.5, name: value}))], NOW)
    assert state_of(session, "a.jpg") == "waiting"


def test_a_new_model_makes_photos_wait_and_asks_for_each_once(session: Session, add_photo: AddPhoto) -> None:
    first, second = add_photo("/photos/a.jpg", 0.3), add_photo("/photos/b.jpg", 0.4)
    missing = add_photo("/photos/c.jpg", 0.5)
    missing_photos.mark_missing(session, [missing], NOW)
    better = scores.scoring_config_for(session, "maclip", "rn50-openai", "spaq448")
    scores.record(session, better.id, [(second, ScoreRow(0.6))], NOW)
    scores.activate(session, better.id)
    assert (state_of(session, "a.jpg"), state_of(session, "b.jpg")) == ("waiting", "scored")
    assert scores.enqueue_unscored(session, NOW) == 1
    assert scores.enqueue_unscored(session, NOW) == 0
    (job,) = leases.lease(session, "score", "w", NOW, 9, 9)
    assert job.photo_id == first


def test_going_back_to_the_old_model_shows_its_scores_again(session: Session, add_photo: AddPhoto) -> None:
    photo = add_photo("/photos/a.jpg", 0.3)
    old = scores.active_scoring_config(session)
    assert old is not None
    scores.activate(session, scores.scoring_config_for(session, "maclip", "rn50-openai", "spaq448").id)
    assert state_of(session, "a.jpg") == "waiting"
    scores.activate(session, old.id)
    assert state_of(session, "a.jpg") == "scored"
    assert jobs.counts(session, "score") == JobCounts()
    assert photo


def test_a_changed_photo_does_not_pass_for_scored_when_the_model_changes(
    session: Session, add_photo: AddPhoto
) -> None:
    photo = add_photo("/photos/a.jpg", 0.3)
    old = scores.active_scoring_config(session)
    assert old is not None
    scores.activate(session, scores.scoring_config_for(session, "maclip", "rn50-openai", "spaq448").id)
    jobs.enqueue(session, [photo], "score", NOW)
    scores.activate(session, old.id)
    assert state_of(session, "a.jpg") == "waiting"


def test_photos_are_scored_again_newest_first_and_behind_new_ones(
    session: Session, add_photo: Callable[..., int]
) -> None:
    for name, taken_at, day in (
        ("2019.jpg", "2019-05-01T10:00:00", 3),
        ("by-its-file.jpg", None, 2),
        ("2031.jpg", "2031-05-01T10:00:00", 1),
    ):
        number = add_photo(f"/photos/{name}", score=0.5, mtime_ns=int((NOW + day * 86400) * 1e9))
        session.execute(
            text("update photos set taken_at = :at where id = :id"), {"at": taken_at, "id": number}
        )
    scores.activate(session, scores.scoring_config_for(session, "maclip", "other", "detail-8").id)
    assert scores.enqueue_unscored(session, NOW) == 3
    jobs.enqueue(session, [add_photo("/photos/new.jpg")], "score", NOW + 10)
    leased = [leases.lease(session, "score", "w", NOW + 20, 900, 1)[0] for _ in range(4)]
    names = [job.path.rpartition("/")[2] for job in leased]
    assert names == ["new.jpg", "2031.jpg", "by-its-file.jpg", "2019.jpg"]
    assert [job.is_again for job in leased] == [False, True, True, True]


def test_a_photo_that_changes_while_it_waits_to_be_scored_again_is_new(
    session: Session, add_photo: Callable[..., int]
) -> None:
    photo = add_photo("/photos/a.jpg", score=0.5)
    scores.activate(session, scores.scoring_config_for(session, "maclip", "other", "detail-8").id)
    scores.enqueue_unscored(session, NOW)
    assert jobs.is_scoring_again(session)
    jobs.enqueue(session, [photo], "score", NOW)
    assert not jobs.is_scoring_again(session)
    assert jobs.next_due(session, "score") == NOW


def test_the_former_model_again_has_nothing_left_to_do(
    session: Session, add_photo: Callable[..., int]
) -> None:
    add_photo("/photos/a.jpg", score=0.5)
    former = scores.active_scoring_config(session)
    assert former is not None
    scores.activate(session, scores.scoring_config_for(session, "maclip", "other", "detail-8").id)
    scores.enqueue_unscored(session, NOW)
    assert jobs.next_due(session, "score") == NOW
    scores.activate(session, former.id)
    assert jobs.next_due(session, "score") is None
    assert session.execute(text("select state from photos")).scalar() == "scored"
