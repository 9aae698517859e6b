"""Undo, file by file: what comes back, what is left alone and why."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from maclip_daemon.errors import MaclipError, NoAnswer
from maclip_daemon.files import temporaries
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.library.photos import renames
from maclip_daemon.library.storage import timestamps
from maclip_daemon.metadata.records import Prepared, RatingRequest
from maclip_daemon.pipeline.commands import undo_ratings
from maclip_daemon.pipeline.commands.undo_ratings import UndoResult
from maclip_daemon.pipeline.rating.rate_jobs import RateJobs
from maclip_daemon.pipeline.rating.rating_stage import RatingStage
from maclip_daemon.settings import JobSettings
from tests.rated_library import BROKEN, PERSONS, SETTINGS, TAKEN_OUT, RatedLibrary, sidecar_of


def rate(rated: RatedLibrary, *photo_ids: int) -> None:
    """Write the stars of these photos."""
    rated.calibrate()
    rated.queue(*photo_ids)
    rate_jobs = RateJobs(rated.library, rated.state, JobSettings(), "test", lambda path: False)
    stage = RatingStage(rate_jobs, rated.state, SETTINGS, rated.writer)
    while stage.work():
        pass


def undo(
    rated: RatedLibrary, probe: FilesystemProbe | None = None, *, dry_run: bool = False
) -> list[UndoResult]:
    targets = undo_ratings.targets(rated.library)
    probe = probe or rated.state.probe
    return list(undo_ratings.undo(rated.library, rated.writer, probe, targets, rated.now, dry_run=dry_run))


def test_a_sidecar_that_we_made_is_removed_and_one_that_was_there_comes_back(rated: RatedLibrary) -> None:
    there = sidecar_of(rated.folder / "a.jpg")
    ids = [rated.add(name) for name in ("a.jpg", "b.jpg")]
    there.write_bytes(b"a title")
    rate(rated, *ids)
    assert there.read_bytes() == b"stars: 3"
    assert [(result.path.name, result.outcome) for result in undo(rated)] == [
        ("a.jpg.xmp", "restored"),
        ("b.jpg.xmp", "removed"),
    ]
    assert there.read_bytes() == b"a title"
    assert not sidecar_of(rated.folder / "b.jpg").exists()
    assert rated.rows("select distinct state, restore_data from rating_journal") == [("undone", None)]
    assert rated.rows("select distinct rating_owner, stars_written from photos") == [("none", None)]
    assert undo(rated) == []


def test_what_a_killed_undo_left_beside_a_file_goes_with_the_next_one(rated: RatedLibrary) -> None:
    sidecar = sidecar_of(rated.folder / "a.jpg")
    rate(rated, rated.add("a.jpg"))
    left = sidecar.rename(sidecar.with_name(temporaries.new_aside(sidecar.name)))
    rated.now = time.time() + 61
    assert [result.outcome for result in undo(rated)] == ["gone"]
    assert not left.exists()


def test_several_writes_are_undone_newest_first(rated: RatedLibrary) -> None:
    photo_id = rated.add("a.jpg", score=0.1)
    sidecar = sidecar_of(rated.folder / "a.jpg")
    sidecar.write_bytes(b"a title")
    rate(rated, photo_id)
    rated.add("a.jpg", score=0.9)
    rate(rated, photo_id)
    assert sidecar.read_bytes() == b"stars: 5"
    assert [result.outcome for result in undo(rated)] == ["restored"]
    assert sidecar.read_bytes() == b"a title"
    assert rated.rows("select state from rating_journal") == [("undone",)]


def test_a_file_that_was_changed_since_is_left_alone_with_the_reason_and_all_others_come_back(
    rated: RatedLibrary,
) -> None:
    rate(rated, *(rated.add(name) for name in ("a.jpg", "b.jpg")))
    changed = sidecar_of(rated.folder / "a.jpg")
    changed.write_bytes(BROKEN)
    first, second = undo(rated)
    assert (first.outcome, first.is_done) == ("changed", False)
    assert first.sentence() == f"{changed} was changed since."
    assert changed.read_bytes() == BROKEN
    assert (second.outcome, second.is_done) == ("removed", True)
    assert rated.rows("select state from rating_journal order by id") == [("written",), ("undone",)]


def test_a_file_of_an_offline_root_is_left_alone_and_can_be_undone_later(
    rated: RatedLibrary, tmp_path: Path
) -> None:
    rate(rated, rated.add("a.jpg"))
    elsewhere = rated.folder.rename(tmp_path / "unplugged")
    rated.folder.mkdir()  # the mount point
    (result,) = undo(rated)
    assert result.outcome == "failed"
    assert "is empty" in result.sentence()
    assert rated.rows("select state from rating_journal") == [("written",)]
    rated.folder.rmdir()
    elsewhere.rename(rated.folder)
    assert [result.outcome for result in undo(rated)] == ["removed"]


@pytest.mark.parametrize("asked", ["call", "ping"])  # the kernel may still know the names of a silent server
def test_a_file_on_a_server_that_does_not_answer_is_left_alone(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    rate(rated, rated.add("a.jpg"))
    probe = FilesystemProbe()

    def no_answer(path: str, *question: Callable[[], object]) -> object:
        raise NoAnswer(f"{path} does not answer.")

    monkeypatch.setattr(probe, asked, no_answer)
    (result,) = undo(rated, probe)
    assert result.outcome == "failed"
    assert "does not answer" in result.reason
    assert rated.rows("select state from rating_journal") == [("written",)]
    assert sidecar_of(rated.folder / "a.jpg").exists()


def test_a_file_that_was_written_since_keeps_a_persons_rating_which_the_library_knows(
    rated: RatedLibrary,
) -> None:
    photo_id = rated.add("a.jpg", score=0.1)
    sidecar = sidecar_of(rated.folder / "a.jpg")
    rate(rated, photo_id)
    rated.add("a.jpg", score=0.9)
    rate(rated, photo_id)
    sidecar.write_bytes(PERSONS)
    assert [result.outcome for result in undo(rated)] == ["taken_out"]
    assert sidecar.read_bytes() == TAKEN_OUT
    assert rated.rows("select state from rating_journal") == [("undone",)]
    assert rated.rows("select rating_in_file, rating_owner, stars_written from photos") == [
        (5, "person", None)
    ]
    assert undo(rated) == []


def test_a_dry_run_says_what_undo_would_do_and_changes_nothing(rated: RatedLibrary) -> None:
    names = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")
    rate(rated, *(rated.add(name) for name in names))
    sidecars = [sidecar_of(rated.folder / name) for name in names]
    sidecars[1].write_bytes(PERSONS)
    sidecars[2].write_bytes(BROKEN)
    sidecars[3].unlink()
    files = {path: path.read_bytes() for path in rated.folder.iterdir()}
    rows = rated.rows("select * from rating_journal"), rated.rows("select * from photos")
    would = undo(rated, dry_run=True)
    assert {path: path.read_bytes() for path in rated.folder.iterdir()} == files
    assert (rated.rows("select * from rating_journal"), rated.rows("select * from photos")) == rows
    assert [result.outcome for result in would] == ["removed", "taken_out", "changed", "gone"]
    assert undo(rated) == would


def test_a_sidecar_that_the_user_deleted_counts_as_undone(rated: RatedLibrary) -> None:
    rate(rated, *(rated.add(name) for name in ("a.jpg", "b.jpg")))
    sidecar_of(rated.folder / "a.jpg").unlink()
    assert [result.outcome for result in undo(rated)] == ["gone", "removed"]
    assert rated.rows("select distinct state from rating_journal") == [("undone",)]


def test_a_deleted_sidecar_that_we_made_and_updated_counts_as_undone(rated: RatedLibrary) -> None:
    photo_id = rated.add("a.jpg", score=0.1)
    rate(rated, photo_id)
    rated.add("a.jpg", score=0.9)
    rate(rated, photo_id)
    sidecar_of(rated.folder / "a.jpg").unlink()
    assert [result.outcome for result in undo(rated, dry_run=True)] == ["gone"]
    assert [result.outcome for result in undo(rated)] == ["gone"]
    assert rated.rows("select state from rating_journal") == [("undone",)]


def test_a_sidecar_that_did_not_follow_its_renamed_photo_is_undone_where_it_is(rated: RatedLibrary) -> None:
    photo_id = rated.add("a.jpg")
    rate(rated, photo_id)
    (rated.folder / "a.jpg").rename(rated.folder / "b.jpg")
    with rated.library.writing() as session:
        root = rated.rows("select id from roots")[0][0]
        renames.move_photo(session, photo_id, str(rated.folder / "b.jpg"), root)
    assert [result.outcome for result in undo(rated)] == ["removed"]
    assert not sidecar_of(rated.folder / "a.jpg").exists()


def test_only_the_files_at_or_below_the_given_paths_are_undone(rated: RatedLibrary) -> None:
    rate(rated, *(rated.add(name) for name in ("in/a.jpg", "in/b.jpg", "out/c.jpg")))
    sidecars = [str(sidecar_of(rated.folder / name)) for name in ("in/a.jpg", "in/b.jpg", "out/c.jpg")]
    assert undo_ratings.targets(rated.library) == sidecars
    assert undo_ratings.targets(rated.library, [str(rated.folder / "in")]) == sidecars[:2]
    one_photo, one_sidecar = str(rated.folder / "in/b.jpg"), sidecars[2]
    assert undo_ratings.targets(rated.library, [one_photo, one_sidecar]) == sidecars[1:]
    assert undo_ratings.targets(rated.library, [str(rated.folder / "i")]) == []


def test_undone_photos_have_no_rate_jobs_left(rated: RatedLibrary) -> None:
    photo_id = rated.add("a.jpg")
    rate(rated, photo_id)
    rated.queue(photo_id)
    undo(rated)
    assert rated.jobs() == []


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({}, "Nothing to undo."),
        ({"removed": 208}, "208 sidecars removed."),
        (
            {"removed": 1, "restored": 1, "already": 2},
            "1 sidecar removed, 1 file restored, 2 files already as before.",
        ),
        (
            {"removed": 208, "changed": 36, "taken_out": 2, "gone": 1},
            "208 sidecars removed, 2 files that other programs changed since keep their changes, without "
            "maclip's stars, 1 sidecar had been deleted before; 36 left alone for the reasons listed above.",
        ),
        ({"removed": 2, "gone": 2}, "2 sidecars removed, 2 sidecars had been deleted before."),
        ({"changed": 1, "failed": 2}, "3 left alone for the reasons listed above."),
    ],
)
def test_the_summary_counts_what_was_done_and_what_was_left_alone(
    counts: dict[undo_ratings.Outcome, int], sentence: str
) -> None:
    assert undo_ratings.summary(Counter(counts)) == sentence


def hold(rated: RatedLibrary, *under: str) -> int:
    return undo_ratings.hold(rated.library, under, rated.now)


def test_what_waits_in_the_queue_is_not_written_after_undo(rated: RatedLibrary) -> None:
    ids = [rated.add(name) for name in ("in/a.jpg", "in/b.jpg", "out/c.jpg")]
    rate(rated, ids[0])
    rated.queue(*ids)
    assert hold(rated, str(rated.folder / "in")) == 1
    assert rated.jobs() == [("c.jpg", "rate", "ready", 0)]
    assert [result.outcome for result in undo(rated)] == ["removed"]
    rate(rated, *ids)  # whatever queues them: undone photos have no stars
    assert [path.name for path in rated.folder.rglob("*.xmp")] == ["c.jpg.xmp"]


def test_a_hold_takes_photos_sidecars_and_folders(rated: RatedLibrary) -> None:
    names = ("a.jpg", "b.jpg", "c.raf", "d/e.jpg")
    for name in names:
        rated.add(name)
    undone = "select file_name from photos where rating_undone_at is not null order by 1"
    assert hold(rated, str(rated.folder / "a.jpg")) == 1
    assert hold(rated, str(rated.folder / "b.jpg.xmp")) == 1
    assert hold(rated, str(rated.folder / "c.xmp")) == 1
    assert rated.rows(undone) == [("a.jpg",), ("b.jpg",), ("c.raf",)]
    assert hold(rated) == 1
    assert rated.rows(undone) == [("a.jpg",), ("b.jpg",), ("c.raf",), ("e.jpg",)]


def test_a_persons_rating_is_held_only_where_maclip_wrote_to_the_file(rated: RatedLibrary) -> None:
    for name in ("a.jpg", "b.jpg"):
        rated.add(name)
    rate(rated, 1)
    rated.write("update photos set rating_owner = 'person'")
    assert hold(rated) == 0
    assert rated.rows("select rating_undone_at is not null from photos order by id") == [(1,), (0,)]


def test_what_was_prepared_before_the_hold_is_thrown_away(rated: RatedLibrary) -> None:
    prepare_many = rated.writer.prepare_many

    def prepare_many_and_hold(requests: Sequence[RatingRequest]) -> list[Prepared | MaclipError]:
        prepared = prepare_many(requests)
        hold(rated, str(rated.folder / "a.jpg"))
        rated.queue(1)  # by a score that came meanwhile
        return prepared

    rated.writer.prepare_many = prepare_many_and_hold  # type: ignore[method-assign]
    rate(rated, rated.add("a.jpg"), rated.add("b.jpg"))
    assert sorted(path.name for path in rated.folder.iterdir()) == ["a.jpg", "b.jpg", "b.jpg.xmp"]
    assert rated.jobs() == []
    assert [Path(path).name for (path,) in rated.rows("select target_path from rating_journal")] == [
        "b.jpg.xmp"
    ]


def test_a_write_that_began_before_the_hold_is_awaited_and_undone(rated: RatedLibrary) -> None:
    commit_many = rated.writer.commit_many
    waited: list[bool] = []

    def hold_and_commit_many(prepared: Sequence[Prepared]) -> list[MaclipError | None]:
        hold(rated)
        assert undo_ratings.targets(rated.library) == [str(sidecar_of(rated.folder / "a.jpg"))]
        assert [result.reason for result in undo(rated)] == [undo_ratings.BEING_WRITTEN]
        rated.write(f"update rating_journal set intended_at = '{timestamps.text(time.time())}'")
        undo_ratings.await_writes(rated.library, [], lambda: waited.append(True) is not None, timeout_s=0.2)
        return commit_many(prepared)

    rated.writer.commit_many = hold_and_commit_many  # type: ignore[method-assign]
    rate(rated, rated.add("a.jpg"))
    assert waited
    assert rated.rows("select rating_undone_at is not null from photos") == [(1,)], "the hold was lifted"
    undo_ratings.await_writes(rated.library, [], lambda: pytest.fail("nothing is being written"))
    assert [result.outcome for result in undo(rated)] == ["removed"]
    assert rated.rows("select rating_owner, rating_undone_at is not null from photos") == [("none", 1)]
    rate(rated, 1)
    assert not sidecar_of(rated.folder / "a.jpg").exists()


def test_the_summary_counts_photos_that_are_held_without_stars() -> None:
    assert undo_ratings.summary(Counter(removed=33), unrated=567) == (
        "33 sidecars removed. 567 photos without stars get none until `maclip rate`."
    )
    assert undo_ratings.summary(Counter(), unrated=1) == (
        "Nothing to undo. 1 photo without stars gets none until `maclip rate`."
    )


def test_a_file_of_a_disk_that_is_mounted_below_a_root_is_not_gone_while_that_is_away(
    rated: RatedLibrary, tmp_path: Path
) -> None:
    rate(rated, rated.add("local.jpg"), rated.add("nas/a.jpg", device=77))
    mounted = rated.folder / "nas"
    mounted.rename(tmp_path / "away")
    mounted.mkdir()
    results = {result.path.name: result for result in undo(rated)}
    assert results["local.jpg.xmp"].outcome == "removed"
    assert results["a.jpg.xmp"].outcome == "failed"
    assert "disk is not there" in results["a.jpg.xmp"].reason
    mounted.rmdir()
    (tmp_path / "away").rename(mounted)
    assert [result.outcome for result in undo(rated)] == ["removed"]
