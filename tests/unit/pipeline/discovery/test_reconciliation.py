"""Reconciliation: what a scan makes of new, changed, renamed, returned and vanished photos."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maclip_daemon.errors import NoAnswer
from maclip_daemon.files import temporaries
from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.library.photos import root_records
from maclip_daemon.pipeline.discovery.reconciliation import Reconciliation, ScanReport, ScanScope
from tests.rated_library import RatedLibrary


class Scans:
    """Scans of one root; files written within `settle_s` are in `settling` after them."""

    def __init__(self, rated: RatedLibrary) -> None:
        self.rated = rated
        self.settle_s = 0.0
        self.is_reachable = True
        self.exclusion = Exclusion(["skipped/"])
        self.settling: list[str] = []

    def scan(self, start: Path | None = None) -> ScanReport:
        root = str(self.rated.folder)
        with self.rated.library.writing() as session:
            root_id = root_records.root_for(session, root, self.rated.now)
        scope = ScanScope(root_id, root, self.exclusion, self.settle_s)
        return Reconciliation(
            self.rated.library, self.rated.state, scope, self.settling.append, lambda: self.is_reachable
        ).run(str(start) if start else None)

    def photos(self) -> dict[str, str]:
        """Return the state of each photo by its path below the root."""
        query = "select path, file_name, state from photos join folders on folders.id = folder_id"
        return {
            os.path.relpath(os.path.join(folder, name), self.rated.folder): state
            for folder, name, state in self.rated.rows(query)
        }


@pytest.fixture
def scans(rated: RatedLibrary) -> Scans:
    return Scans(rated)


def test_a_new_photo_is_queued_for_a_score(scans: Scans) -> None:
    (scans.rated.folder / "a.jpg").write_bytes(b"x")
    (scans.rated.folder / "notes.txt").write_bytes(b"x")
    report = scans.scan()
    assert (report.files, report.queued, report.is_complete) == (1, 1, True)
    assert scans.photos() == {"a.jpg": "waiting"}
    assert scans.rated.jobs() == [("a.jpg", "score", "ready", 0)]


def test_an_unchanged_photo_costs_nothing(scans: Scans) -> None:
    scans.rated.add("a.jpg")
    before = scans.rated.rows("select * from photos")
    report = scans.scan()
    assert (report.files, report.queued, report.moved, report.returned, report.missing) == (1, 0, 0, 0, 0)
    assert scans.rated.rows("select * from photos") == before
    assert scans.rated.jobs() == []


def test_a_changed_photo_is_queued_for_another_score(scans: Scans) -> None:
    scans.rated.add("a.jpg")
    (scans.rated.folder / "a.jpg").write_bytes(b"edited by a person")
    assert scans.scan().queued == 1
    assert scans.photos() == {"a.jpg": "waiting"}
    assert scans.rated.jobs() == [("a.jpg", "score", "ready", 0)]


@pytest.mark.parametrize(("old", "new"), [("a/1.jpg", "b/2.jpg"), ("b/1.jpg", "a/2.jpg")])
def test_a_renamed_photo_keeps_its_score_whichever_folder_is_read_first(
    scans: Scans, old: str, new: str
) -> None:
    photo_id = scans.rated.add(old)
    (scans.rated.folder / new).parent.mkdir()
    (scans.rated.folder / old).rename(scans.rated.folder / new)
    report = scans.scan()
    assert (report.moved, report.missing, report.queued) == (1, 0, 0)
    assert scans.photos() == {new: "scored"}
    assert scans.rated.rows("select photo_id from scores") == [(photo_id,)]
    assert scans.rated.jobs() == [("2.jpg", "rate", "ready", 0)], "its new sidecar needs its stars"


def test_a_second_hard_link_is_a_photo_of_its_own(scans: Scans) -> None:
    scans.rated.add("a.jpg")
    (scans.rated.folder / "b.jpg").hardlink_to(scans.rated.folder / "a.jpg")
    report = scans.scan()
    assert (report.moved, report.queued) == (0, 1)
    assert scans.photos() == {"a.jpg": "scored", "b.jpg": "waiting"}


@pytest.mark.parametrize(("score", "state", "queued"), [(0.5, "scored", 0), (None, "waiting", 1)])
def test_a_photo_that_vanished_is_missing_and_has_its_score_again_when_it_returns(
    scans: Scans, tmp_path: Path, score: float | None, state: str, queued: int
) -> None:
    photo_id = scans.rated.add("a.jpg", score)
    (scans.rated.folder / "a.jpg").rename(tmp_path / "a.jpg")
    assert scans.scan().missing == 1
    assert scans.photos() == {"a.jpg": "missing"}
    assert scans.scan().missing == 0, "it was missing before"
    (tmp_path / "a.jpg").rename(scans.rated.folder / "a.jpg")
    report = scans.scan()
    assert (report.returned, report.queued) == (1, queued)
    assert scans.photos() == {"a.jpg": state}
    assert scans.rated.rows("select id from photos") == [(photo_id,)]


def test_the_photos_of_a_vanished_folder_are_missing(scans: Scans) -> None:
    scans.rated.add("kept.jpg")
    scans.rated.add("gone/deep/a.jpg")
    shutil.rmtree(scans.rated.folder / "gone")
    assert scans.scan().missing == 1
    assert scans.photos() == {"kept.jpg": "scored", "gone/deep/a.jpg": "missing"}


def test_the_photos_of_an_unreadable_folder_are_not_missing(
    scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("locked/a.jpg", "locked/deep/b.jpg", "open/c.jpg", "open/d.jpg"):
        scans.rated.add(name)
    (scans.rated.folder / "open/c.jpg").unlink()
    locked, scandir = str(scans.rated.folder / "locked"), os.scandir

    def scandir_without_permission(path: str) -> Any:
        if path == locked:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scandir_without_permission)
    report = scans.scan()
    assert report.is_complete
    assert report.missing == 1
    assert report.problems == [f"{locked}: {locked}: Permission denied"]
    assert scans.photos() == {
        "locked/a.jpg": "scored",
        "locked/deep/b.jpg": "scored",
        "open/c.jpg": "missing",
        "open/d.jpg": "scored",
    }


def test_a_root_that_goes_offline_in_the_middle_marks_nothing_missing(scans: Scans) -> None:
    scans.rated.add("a.jpg")
    scans.rated.add("gone/b.jpg")
    shutil.rmtree(scans.rated.folder / "gone")
    (scans.rated.folder / "a.jpg").unlink()
    scans.is_reachable = False
    report = scans.scan()
    assert (report.missing, report.is_complete) == (0, False)
    assert set(scans.photos().values()) == {"scored"}
    scans.is_reachable = True
    assert scans.scan().missing == 2


def test_a_server_that_hangs_in_the_middle_marks_nothing_missing(
    scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans.rated.add("a.jpg")
    (scans.rated.folder / "a.jpg").unlink()

    def hang(root: str, listings: Iterator[Any]) -> Iterator[Any]:
        yield next(listings)
        raise NoAnswer("The server does not answer.")

    monkeypatch.setattr(scans.rated.state.probe, "iterate", hang)
    report = scans.scan()
    assert (report.missing, report.is_complete) == (0, False)
    assert report.problems == ["The server does not answer."]
    assert scans.photos() == {"a.jpg": "scored"}


def test_a_run_that_stops_in_the_middle_marks_nothing_missing(scans: Scans) -> None:
    scans.rated.add("a.jpg")
    (scans.rated.folder / "a.jpg").unlink()
    scans.rated.state.stop()
    assert not scans.scan().is_complete
    assert scans.photos() == {"a.jpg": "scored"}


def test_a_file_written_a_moment_ago_settles_first_and_an_empty_one_is_skipped(scans: Scans) -> None:
    scans.settle_s = 3600
    (scans.rated.folder / "young.jpg").write_bytes(b"x")
    assert scans.scan().queued == 0
    assert scans.settling == [str(scans.rated.folder / "young.jpg")]
    assert scans.photos() == {}
    scans.settle_s = 0
    (scans.rated.folder / "empty.jpg").touch()
    assert scans.scan().queued == 1
    assert scans.photos() == {"young.jpg": "waiting"}


def test_a_changed_photo_that_settles_is_not_missing(scans: Scans) -> None:
    scans.rated.add("a.jpg")
    (scans.rated.folder / "a.jpg").write_bytes(b"half of another")
    scans.settle_s = 3600
    assert scans.scan().missing == 0
    assert scans.photos() == {"a.jpg": "scored"}


def test_photos_of_a_folder_that_is_excluded_now_are_missing(scans: Scans) -> None:
    scans.rated.add("skipped/a.jpg")
    scans.rated.add("b.jpg")
    assert scans.scan().missing == 1
    assert scans.photos() == {"skipped/a.jpg": "missing", "b.jpg": "scored"}


def test_the_scan_of_one_folder_leaves_the_others_alone(scans: Scans) -> None:
    for name in ("a/1.jpg", "b/2.jpg"):
        scans.rated.add(name)
        (scans.rated.folder / name).unlink()
    report = scans.scan(scans.rated.folder / "a")
    assert (report.missing, report.is_complete) == (1, True)
    assert scans.photos() == {"a/1.jpg": "missing", "b/2.jpg": "scored"}


def test_a_scan_in_several_transactions_records_all(scans: Scans, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maclip_daemon.pipeline.discovery.reconciliation.SIGHTINGS_PER_TRANSACTION", 2)
    for number in range(5):
        (scans.rated.folder / f"{number}.jpg").write_bytes(b"%d" % number)
    assert scans.scan().queued == 5
    assert len(scans.rated.jobs()) == 5


def test_a_temporary_file_that_a_hanging_disk_wrote_late_is_removed(
    scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = temporaries.new_path(scans.rated.folder)
    late.touch()
    written_at = late.stat().st_ctime
    monkeypatch.setattr(scans.rated.state, "clock", lambda: written_at + 100)
    monkeypatch.setattr(scans.rated.state, "began_at", written_at - 1)
    scans.scan()
    assert late.exists(), "of a command that may be at work"
    monkeypatch.setattr(scans.rated.state, "began_at", written_at + 1)
    scans.scan()
    assert not late.exists()
