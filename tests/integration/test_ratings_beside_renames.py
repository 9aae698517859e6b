"""A folder that is renamed in the very moment in which its photos get their sidecars."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from maclip_daemon.folders.scanner import found_file
from maclip_daemon.library import calibration, jobs, photos, roots, scores
from maclip_daemon.library.database import Library
from maclip_daemon.metadata.writer import MetadataWriter
from maclip_daemon.pipeline.rate_jobs import PreparedJobs, RateJobs
from maclip_daemon.pipeline.rating import Rating
from maclip_daemon.pipeline.run_state import RunState
from maclip_daemon.settings import Settings
from tests.homes import make_photos, until

SHARES = (10.0, 20.0, 40.0, 20.0, 10.0)


def test_what_was_prepared_in_a_folder_that_was_renamed_meanwhile_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = tmp_path / "card", tmp_path / "Iceland"
    settings = Settings(data_dir=tmp_path / "data", jobs={"retry_base_s": 0.05})  # type: ignore[arg-type]
    state = RunState()
    with Library.open(tmp_path / "data" / "library.db") as library, MetadataWriter() as writer:
        with library.writing() as session:
            root = roots.root_for(session, str(tmp_path), time.time())
            scale = scores.scale_for(session, "maclip", "test", "native")
            scores.activate(session, scale.id)
            for path in make_photos(old, 3):
                found = found_file(str(path))
                assert found is not None
                photo = photos.see(session, root, found, time.time()).photo_id
                scores.record(session, photo, scale.id, scores.ScoreRow(0.5), time.time())
                jobs.enqueue(session, photo, "rate", time.time())
            calibration.renew(session, scale.id, SHARES, 2, time.time(), absolute_edges=(0.2, 0.4, 0.6, 0.8))
        rate_jobs = RateJobs(library, state, settings.jobs, "test", lambda path: False)
        intend_all = rate_jobs.intend_all

        def then_rename(prepared: PreparedJobs) -> list[int]:
            entries = intend_all(prepared)
            if old.exists():
                assert len(list(old.glob(".maclip-*.tmp"))) == 3
                old.rename(new)
            return entries

        monkeypatch.setattr(rate_jobs, "intend_all", then_rename)
        rating = Rating(library, state, settings.rating, writer, scale.id, rate_jobs)
        assert rating.work()
        with library.writing() as session:  # the watcher tells it now
            assert photos.move_folder(session, str(old), str(new), root) == 3
        until(lambda: rating.work() and len(list(new.glob("*.xmp"))) == 3, "three sidecars")
        assert list(new.glob(".maclip-*.tmp")) == []
