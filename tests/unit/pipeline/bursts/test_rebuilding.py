"""All groups at once are those that come of one photo after the other."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NoReturn

import pytest
from scenes import black, descriptor

from maclip_daemon.library.photos import burst_frames, missing_photos
from maclip_daemon.library.storage.connections import driver_of
from maclip_daemon.library.storage.database import Library, Session
from maclip_daemon.library.storage.database_errors import DatabaseBusy
from maclip_daemon.photos.decoder import DecodedPhoto
from maclip_daemon.photos.shots.shot_info import ShotInfo
from maclip_daemon.pipeline.bursts import links, rebuilding, regrouping, shot_records
from maclip_daemon.pipeline.bursts.burst_frame import BurstFrame
from maclip_daemon.pipeline.bursts.burst_stage import BurstStage
from tests.rated_library import SETTINGS, RatedLibrary

SPREAD = 0.016
MOST_PAIRS = 17 * 4 + 4 * 4  # of four neighbours on each side, as far again, and once further


def stored(library: Library) -> set[tuple[str, frozenset[tuple[int, int | None]]]]:
    with library.snapshot() as snapshot:
        rows = snapshot.execute(
            "SELECT b.id, b.kind, m.photo_id, m.burst_rank FROM bursts b"
            " JOIN burst_frames m ON m.burst_id = b.id"
        ).fetchall()
    groups: dict[tuple[int, str], set[tuple[int, int | None]]] = defaultdict(set)
    for number, kind, photo_id, place in rows:
        groups[number, kind].add((photo_id, place))
    return {(kind, frozenset(members)) for (_, kind), members in groups.items()}


@pytest.mark.parametrize("chunk", [5, 9, 40])
def test_chunks_are_cut_where_no_link_is(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    rng = random.Random(chunk)
    monkeypatch.setattr(rebuilding, "CHUNK", chunk)
    at_s, photos = 0.0, {}
    for number in range(70):
        at_s += rng.choice((0.3, 0.3, 0.3, 5, 50))
        packed = black() if rng.random() < 0.1 else descriptor(number // 6, number % 4)
        camera = ShotInfo("Canon", "R6", str(number % 2 if number > 50 else 0))
        taken = datetime.fromtimestamp(1_777_000_000 + at_s, UTC)
        photos[rated.add(f"IMG_{number}.jpg", score=rng.random())] = DecodedPhoto(
            None, None, 1, 1, 600, 400, f"p{number}", None, taken, camera, packed
        )
    with rated.library.writing() as session:
        shot_records.record(session, photos)
    regrouping.regroup_all(rated.library, SPREAD, ask_nobody)
    expected = stored(rated.library)
    assert len(expected) > 5
    with rated.library.writing() as session:
        missing_photos.mark_missing(session, [3, 4], rated.now)
        regrouping.regroup(session, SPREAD)
        missing_photos.mark_missing(session, [5], rated.now)
    with rated.library.writing() as session:
        driver = driver_of(session.connection())
        driver.execute("UPDATE burst_frames SET is_stale = 1")
    for _ in rebuilding.rebuild(rated.library, SPREAD, ask_nobody):
        pass
    rebuilt = stored(rated.library)
    with rated.library.writing() as session:
        driver = driver_of(session.connection())
        assert not burst_frames.has_stale(session)
        driver.execute("UPDATE burst_frames SET is_stale = 1, burst_id = NULL, burst_rank = NULL")
        driver.execute("DELETE FROM bursts")
    regrouping.regroup_all(rated.library, SPREAD, ask_nobody)
    assert stored(rated.library) == rebuilt


def test_a_rebuild_that_is_cut_off_has_asked_for_the_ratings_of_what_it_changed(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = {rated.add(f"IMG_{number:02}.jpg", score=number / 60): taken(number, 60) for number in range(60)}
    with rated.library.writing() as session:
        shot_records.record(session, photos)
    rated.state.is_calibrated = True
    stage = BurstStage(rated.library, rated.state, SETTINGS)
    monkeypatch.setattr(rebuilding, "MANY", 30)
    monkeypatch.setattr(rebuilding, "CHUNK", 40)
    with monkeypatch.context() as patch:
        patch.setattr(stage, "_regroup", lambda: None)
        stage.run_maintenance()
    stage.run_maintenance()  # the first part
    with monkeypatch.context() as patch:
        patch.setattr(rebuilding, "_rebuild_chunk", busy)
        stage.run_maintenance()
    while not stage.is_settled():
        stage.run_maintenance()
    grouped = {name for (name,) in rated.rows("select file_name from photos")}
    assert {name for name, kind, *_ in rated.jobs() if kind == "rate"} == grouped


def busy(*_arguments: object) -> NoReturn:
    raise DatabaseBusy("Another program holds the library.")


def taken(number: int, every_s: int) -> DecodedPhoto:
    """Return a photo of a burst of three; a burst begins every so many seconds."""
    moment = datetime.fromtimestamp(1_777_000_000 + every_s * (number // 3) + number % 3, UTC)
    packed = descriptor(number // 3, number % 3)
    return DecodedPhoto(None, None, 1, 1, 600, 400, f"p{number}", None, moment, ShotInfo(), packed)


def ask_nobody(_session: Session, _changed: Sequence[int]) -> None:
    pass


def test_a_photo_among_others_is_compared_with_its_neighbours_only(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = {rated.add(f"IMG_{number}.jpg", score=0.5): taken(number, 20) for number in range(60)}
    late = list(photos)[31]
    with rated.library.writing() as session:
        shot_records.record(session, {number: photo for number, photo in photos.items() if number != late})
    regrouping.regroup_all(rated.library, SPREAD, ask_nobody)
    compared: list[tuple[int, int]] = []

    def link_between(first: BurstFrame, second: BurstFrame, rules: links.LinkRules) -> links.Link | None:
        compared.append((first.photo_id, second.photo_id))
        return between(first, second, rules)

    between = links.link_between
    monkeypatch.setattr(links, "link_between", link_between)
    with rated.library.writing() as session:
        shot_records.record(session, {late: photos[late]})
        regrouping.regroup(session, SPREAD)
    assert len(stored(rated.library)) == 20, "twenty bursts of three"
    assert len(compared) == len(set(compared)), "no pair is compared twice"
    assert len(compared) <= MOST_PAIRS
