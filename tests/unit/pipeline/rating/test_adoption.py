"""Ratings that prove to be maclip's, though this library did not write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from maclip_daemon.library.queries.other_libraries import SharedFolder, shared_folders
from maclip_daemon.library.storage.library_identity import library_ids
from maclip_daemon.metadata.writing.undo_delta import UndoDelta
from maclip_daemon.pipeline.rating.rate_jobs import RateJobs
from maclip_daemon.pipeline.rating.rating_stage import RatingStage
from maclip_daemon.settings import JobSettings
from tests.rated_library import SETTINGS, FakeRoots, RatedLibrary, sidecar_of

JOURNAL = "select stars_written, adopted_from from rating_journal where state = 'written' order by id"
OWNERS = "select rating_owner, rating_in_file, stars_written, other_library from photos order by id"
OTHER = "0badcafe"


def rate(rated: RatedLibrary, *photos: int) -> None:
    rated.calibrate()
    rated.queue(*photos)
    jobs = RateJobs(rated.library, rated.state, JobSettings(), "test", FakeRoots())
    stage = RatingStage(jobs, rated.state, SETTINGS, rated.writer)
    while stage.work():
        pass


def own_id(rated: RatedLibrary) -> str:
    with rated.library.reading() as session:
        return library_ids(session).own


def put(rated: RatedLibrary, stars: int, by: str, name: str = "a.jpg") -> Path:
    sidecar = sidecar_of(rated.folder / name)
    sidecar.write_text(f"stars: {stars} by {by}")
    return sidecar


def test_equal_stars_of_another_library_enter_the_journal_and_the_file_stays(rated: RatedLibrary) -> None:
    photo = rated.add("a.jpg")
    sidecar = put(rated, 3, OTHER)
    rate(rated, photo)
    assert sidecar.read_text() == f"stars: 3 by {OTHER}"
    assert rated.rows(JOURNAL) == [(3, OTHER)]
    ((restore,),) = rated.rows("select restore_data from rating_journal")
    assert UndoDelta.decode(restore) == UndoDelta.taking_out()
    assert rated.rows(OWNERS) == [("maclip", 3, 3, None)]
    assert (rated.state.tally.adopted, rated.state.tally.contested) == (1, 0)
    assert rated.jobs() == []


def test_other_stars_of_another_library_enter_the_journal_before_ours_replace_them(
    rated: RatedLibrary,
) -> None:
    photo = rated.add("a.jpg")
    sidecar = put(rated, 5, OTHER)
    rate(rated, photo)
    assert sidecar.read_text() == "stars: 3"
    assert rated.rows(JOURNAL) == [(5, OTHER), (3, None)]
    assert rated.rows(OWNERS) == [("maclip", 3, 3, None)]


def test_our_own_stars_that_the_journal_lost_are_no_other_librarys(rated: RatedLibrary) -> None:
    photo = rated.add("a.jpg")
    put(rated, 3, own_id(rated))
    rate(rated, photo)
    assert rated.rows(JOURNAL) == [(3, own_id(rated))]
    assert rated.state.tally.adopted == 0


def test_a_library_that_replaces_our_stars_keeps_its_own_and_is_reported(rated: RatedLibrary) -> None:
    photo = rated.add("a.jpg")
    rate(rated, photo)
    sidecar = put(rated, 5, OTHER)
    for _ in range(2):  # and again: nobody answers without end
        rate(rated, photo)
        assert sidecar.read_text() == f"stars: 5 by {OTHER}"
        assert rated.rows(OWNERS) == [("maclip", 5, 3, OTHER)]
    assert rated.rows(JOURNAL) == [(3, None)]
    assert rated.state.tally.contested == 2
    with rated.library.snapshot() as snapshot:
        (shared,) = shared_folders(snapshot)
    assert shared == SharedFolder(str(rated.folder), OTHER, 1)
    assert shared.sentence().count(str(rated.folder)) == 1
    assert "maclip adopt" in shared.sentence()


def test_a_library_that_rewrites_what_was_adopted_from_it_is_in_use_too(rated: RatedLibrary) -> None:
    photo = rated.add("a.jpg")
    put(rated, 3, OTHER)
    rate(rated, photo)
    sidecar = put(rated, 5, OTHER)
    rate(rated, photo)
    assert sidecar.read_text() == f"stars: 5 by {OTHER}"
    assert rated.rows(OWNERS) == [("maclip", 5, 3, OTHER)]


def test_when_the_other_library_has_gone_the_mark_goes_with_its_stars(rated: RatedLibrary) -> None:
    photo = rated.add("a.jpg")
    rate(rated, photo)
    sidecar = put(rated, 5, OTHER)
    rate(rated, photo)
    sidecar.unlink()
    rate(rated, photo)
    assert rated.rows(OWNERS) == [("maclip", 3, 3, None)]


def test_a_predecessor_of_this_library_is_no_other_one(rated: RatedLibrary) -> None:
    photo = rated.add("a.jpg")
    rate(rated, photo)
    rated.write(
        f"update notes set value = json_set(value, '$.former', json_array('{OTHER}')) where key = 'library'"
    )
    sidecar = put(rated, 5, OTHER)
    rate(rated, photo)
    assert sidecar.read_text() == "stars: 3"
    assert rated.rows(OWNERS) == [("maclip", 3, 3, None)]


@pytest.mark.parametrize("before", [None, b"a title"])
def test_a_copy_with_its_sidecar_takes_the_whole_history_over(
    rated: RatedLibrary, before: bytes | None
) -> None:
    photo = rated.add("a.jpg")
    if before is not None:
        sidecar_of(rated.folder / "a.jpg").write_bytes(before)
    rate(rated, photo)
    put(rated, 3, own_id(rated))
    rated.write(f"update rating_journal set after_hash = '{_hash(rated, 'a.jpg')}'")
    copy = rated.add("b.jpg")
    put(rated, 3, own_id(rated), "b.jpg")
    rate(rated, copy)
    query = "select before_hash, after_hash, restore_data from rating_journal where photo_id = {}"
    assert rated.rows(query.format(copy)) == rated.rows(query.format(photo))
    assert rated.rows(JOURNAL) == [(3, None), (3, None)]


def _hash(rated: RatedLibrary, name: str) -> str | None:
    return rated.writer.inspect(rated.folder / name).source_hash
