"""Folders are renamed, and servers lost, while sidecars are written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import text

from maclip_daemon.errors import ChildTimedOut, MaclipError, NoAnswer
from maclip_daemon.folders.scanner import found_file
from maclip_daemon.library.photos import photo_records, renames, root_records
from maclip_daemon.library.queue import jobs
from maclip_daemon.library.results import calibration, scores
from maclip_daemon.library.storage.database import Library
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import Prepared
from maclip_daemon.pipeline.rating.rate_jobs import PreparedJobs, RateJobs
from maclip_daemon.pipeline.rating.rating_stage import RatingStage
from maclip_daemon.pipeline.run_state import RunState
from maclip_daemon.pipeline.waits import Waits
from maclip_daemon.settings import Settings
from tests.homes import make_photos, until
from tests.rated_library import FakeRoots

SETTINGS = Settings(jobs={"retry_base_s": 0.05})  # type: ignore[arg-type]
SHARES = (10.0, 20.0, 40.0, 20.0, 10.0)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[tuple[Library, MetadataWriter, RunState]]:
    """Yield a library with three scored photos in the rating queue."""
    with Library.open(tmp_path / "data" / "library.db") as library, MetadataWriter() as writer:
        with library.writing() as session:
            root = root_records.root_for(session, str(tmp_path), time.time())
            config = scores.scoring_config_for(session, "maclip", "test", "native")
            scores.activate(session, config.id)
            for path in make_photos(tmp_path / "card", 3):
                found = found_file(str(path))
                assert found is not None
                photo = photo_records.record_file(session, root, found, time.time()).photo_id
                scores.record(session, config.id, [(photo, scores.ScoreRow(0.5))], time.time())
                jobs.enqueue(session, [photo], "rate", time.time())
            rule = calibration.StarRule(SHARES, 2, absolute_edges=(0.2, 0.4, 0.6, 0.8))
            calibration.renew(session, config.id, rule, time.time())
        yield library, writer, RunState(pause_s=0.05)


def test_temporary_files_in_a_renamed_folder_are_removed(
    tmp_path: Path, home: tuple[Library, MetadataWriter, RunState], monkeypatch: pytest.MonkeyPatch
) -> None:
    library, writer, state = home
    old, new = tmp_path / "card", tmp_path / "Iceland"
    rate_jobs = RateJobs(library, state, SETTINGS.jobs, "test", FakeRoots())
    intend_all = rate_jobs.intend_all

    def then_rename(prepared: PreparedJobs) -> list[int]:
        entries = intend_all(prepared)
        if old.exists():
            assert len(list(old.glob(".maclip-*.tmp"))) == 3
            old.rename(new)
        return entries

    monkeypatch.setattr(rate_jobs, "intend_all", then_rename)
    rating = RatingStage(rate_jobs, state, SETTINGS.rating, writer)
    assert rating.work()
    with library.writing() as session:  # the rename event
        root = root_records.root_for(session, str(tmp_path), time.time())
        assert renames.move_folder(session, str(old), str(new), root) == 3
    until(lambda: rating.work() and len(list(new.glob("*.xmp"))) == 3, "three sidecars")
    assert list(new.glob(".maclip-*.tmp")) == []


def test_a_write_to_a_server_that_stopped_answering_is_recognised_as_ours_later(
    tmp_path: Path, home: tuple[Library, MetadataWriter, RunState], monkeypatch: pytest.MonkeyPatch
) -> None:
    library, writer, state = home
    now = [100.0]
    state.waits = Waits(30, clock=lambda: now[0])
    is_offline = True

    def call(path: str, operation: Callable[[], object]) -> object:
        if is_offline:
            raise NoAnswer(path)
        return operation()

    commit_many = writer.commit_many

    def without_an_answer(prepared: Sequence[Prepared]) -> list[MaclipError | None]:
        commit_many(prepared)
        monkeypatch.setattr(state.probe, "call", call)
        raise ChildTimedOut("no answer within 60 s")

    rate_jobs = RateJobs(library, state, SETTINGS.jobs, "test", FakeRoots(lambda path: is_offline))
    rating = RatingStage(rate_jobs, state, SETTINGS.rating, writer)
    with monkeypatch.context() as patch:
        patch.setattr(writer, "commit_many", without_an_answer)
        assert rating.work()
    assert len(list(tmp_path.glob("card/*.xmp"))) == 3
    assert not rating.work(), "the jobs of an offline server are left alone"
    is_offline = False
    now[0] += 31
    until(rating.work, "work")
    with library.reading() as session:
        rows = session.execute(text("select rating_owner, stars_written, rating_in_file from photos")).all()
        entries = session.execute(text("select state from rating_journal")).all()
    assert rows == [("maclip", 3, 3)] * 3
    assert entries == [("written",)] * 3
