"""What a killed run left: its leases, its unconfirmed writes, its temporary files."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from maclip_daemon.errors import NoAnswer
from maclip_daemon.library.photos import renames
from maclip_daemon.library.queue import jobs, leases
from maclip_daemon.pipeline import recovery
from maclip_daemon.pipeline.rating.rate_jobs import RateJobs
from maclip_daemon.pipeline.rating.rating_stage import RatingStage
from maclip_daemon.settings import JobSettings
from tests.rated_library import SETTINGS, FakeRoots, RatedLibrary, sidecar_of


class Killed(BaseException):
    """Stands for SIGKILL."""


def killed_while_rating(rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch, *names: str) -> list[Path]:
    """Rate these photos and die after the first file was replaced; return the sidecars."""
    rated.calibrate()
    rated.queue(*(rated.add(name) for name in names))
    rate_jobs = RateJobs(rated.library, rated.state, JobSettings(), "killed", FakeRoots())
    monkeypatch.setattr(rate_jobs, "remove_strays", lambda held: None)
    rated.writer.lost = Killed()  # type: ignore[assignment]
    with pytest.raises(Killed):
        RatingStage(rate_jobs, rated.state, SETTINGS, rated.writer).work()
    return [sidecar_of(rated.folder / name) for name in names]


def recover(rated: RatedLibrary) -> None:
    recovery.recover(rated.library, rated.state.probe, rated.folder.parent / "spool", rated.now)


def test_a_prepared_but_uncommitted_write_is_settled_after_a_kill(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, unwritten = killed_while_rating(rated, monkeypatch, "a.jpg", "b.jpg")
    assert (written.exists(), unwritten.exists()) == (True, False)
    assert len(list(rated.folder.glob(".maclip-*"))) == 1
    assert rated.rows("select distinct state from rating_journal") == [("intended",)]
    recover(rated)
    assert rated.rows("select state from rating_journal order by id") == [("written",), ("abandoned",)]
    assert rated.rows("select file_name, rating_owner, stars_written from photos order by file_name") == [
        ("a.jpg", "maclip", 3),
        ("b.jpg", "none", None),
    ]
    assert list(rated.folder.glob(".maclip-*")) == []
    assert rated.jobs() == [("a.jpg", "rate", "ready", 0), ("b.jpg", "rate", "ready", 0)]


def test_recovery_twice_changes_nothing(rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_while_rating(rated, monkeypatch, "a.jpg", "b.jpg")
    recover(rated)
    before = rated.rows("select * from rating_journal"), rated.rows("select * from jobs")
    recover(rated)
    assert (rated.rows("select * from rating_journal"), rated.rows("select * from jobs")) == before


def test_a_file_that_was_changed_after_the_kill_does_not_count_as_ours(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sidecar,) = killed_while_rating(rated, monkeypatch, "a.jpg")
    sidecar.write_bytes(b"changed by another program")
    recover(rated)
    assert rated.rows("select state from rating_journal") == [("abandoned",)]
    assert sidecar.read_bytes() == b"changed by another program"


@pytest.mark.parametrize("problem", ["the root is not mounted", "the server does not answer"])
def test_an_entry_on_an_offline_disk_waits_for_the_next_run(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, problem: str
) -> None:
    killed_while_rating(rated, monkeypatch, "in/a.jpg")
    with monkeypatch.context() as patch:
        if problem == "the root is not mounted":
            (rated.folder / "in").rename(tmp_path / "unplugged")
        else:

            def no_answer(path: str, operation: Callable[[], object]) -> object:
                raise NoAnswer(path)

            patch.setattr(rated.state.probe, "call", no_answer)
        recover(rated)
    assert rated.rows("select state from rating_journal") == [("intended",)]
    if problem == "the root is not mounted":
        (tmp_path / "unplugged").rename(rated.folder / "in")
    recover(rated)
    assert rated.rows("select state from rating_journal") == [("written",)]


def test_a_file_that_did_not_follow_its_renamed_photo_is_settled_where_it_is(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_while_rating(rated, monkeypatch, "a.jpg")
    with rated.library.writing() as session:
        (root,) = rated.rows("select id from roots")[0]
        (photo_id,) = rated.rows("select id from photos")[0]
        renames.move_photo(session, photo_id, str(rated.folder / "b.jpg"), root)
    recover(rated)
    assert rated.rows("select state from rating_journal") == [("written",)]


def test_only_the_entries_of_the_given_photos_are_settled(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, _ = killed_while_rating(rated, monkeypatch, "a.jpg", "b.jpg")
    photo_id = rated.rows("select id from photos where file_name = 'a.jpg'")[0][0]
    settled = recovery.settle_unconfirmed(rated.library, rated.state.probe, rated.now, [photo_id])
    assert settled == [written]
    assert rated.rows("select state from rating_journal order by id") == [("written",), ("intended",)]


def test_all_leases_are_released_without_an_attempt(rated: RatedLibrary) -> None:
    photo_id = rated.add("a.jpg", score=None)
    with rated.library.writing() as session:
        jobs.enqueue(session, [photo_id], "score", rated.now)
        leases.lease(session, "score", "killed", rated.now, 900, 1)
    recover(rated)
    assert rated.jobs() == [("a.jpg", "score", "ready", 0)]


def test_only_old_files_with_our_name_are_removed_as_strays(rated: RatedLibrary) -> None:
    ours, in_use, other = (
        rated.folder / name
        for name in (f".maclip-{'0' * 16}.tmp", f".maclip-{'1' * 16}.tmp", ".maclip-notes.tmp")
    )
    for path in (ours, other, in_use):
        path.touch()
        time.sleep(0.05)  # more than the clock of a file system's ticks
    began_at = in_use.stat().st_ctime
    folders = [rated.folder, rated.folder / "gone"]
    recovery.remove_strays(rated.state.probe, folders, began_at, began_at)
    assert sorted(rated.folder.iterdir()) == [in_use, other]


def test_the_name_that_a_kill_left_claimed_is_free_again_and_the_photo_is_rated(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, claimed = killed_while_rating(rated, monkeypatch, "a.jpg", "b.jpg")
    claimed.touch()  # where neither links nor exclusive renames are known
    rated.now = claimed.stat().st_ctime + 5
    recover(rated)
    states = "select state from rating_journal order by id"
    assert claimed.exists()  # another program may be about to write it
    assert rated.rows(states) == [("written",), ("intended",)]
    rated.now += 60
    recover(rated)
    assert not claimed.exists()
    assert written.exists()
    assert rated.rows(states) == [("written",), ("abandoned",)]


def test_a_write_that_was_cut_off_on_a_disk_whose_mount_point_is_empty_is_not_settled(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_while_rating(rated, monkeypatch, "a.jpg")
    rated.write("update photos set device = 77")  # a disk of its own, mounted at the folder
    away = rated.folder.with_name("unmounted")
    rated.folder.rename(away)
    rated.folder.mkdir()
    recover(rated)
    assert rated.rows("select state from rating_journal") == [("intended",)]
    rated.folder.rmdir()
    away.rename(rated.folder)
    recover(rated)
    assert rated.rows("select state from rating_journal") == [("written",)]


def test_a_write_whose_place_a_server_does_not_tell_is_not_settled(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent_once(_path: str, _operation: Callable[[], object]) -> object:
        monkeypatch.setattr(rated.state.probe, "call", call)
        raise NoAnswer("It does not respond.")

    killed_while_rating(rated, monkeypatch, "a.jpg")
    with rated.library.writing() as session:
        (root,) = rated.rows("select id from roots")[0]
        renames.move_photo(session, 1, str(rated.folder / "b.jpg"), root)  # and the file stayed behind
    call = rated.state.probe.call
    monkeypatch.setattr(rated.state.probe, "call", silent_once)
    recover(rated)
    assert rated.rows("select state from rating_journal") == [("intended",)]
    recover(rated)
    assert rated.rows("select state from rating_journal") == [("written",)]
