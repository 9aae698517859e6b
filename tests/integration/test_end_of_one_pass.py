"""One pass (`maclip run --once`) ends when all work is done, and not before."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from maclip_daemon.library.storage.database import Library
from maclip_daemon.pipeline.discovery.discovery_stage import DiscoveryStage
from maclip_daemon.pipeline.run import Pipeline
from maclip_daemon.settings import Settings
from tests.homes import make_photos, until

TIMEOUT_S = 120.0


def test_a_pass_does_not_end_between_the_last_score_and_the_calibration(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores arrive after the check for a due calibration and before the check for jobs."""
    photos = make_photos(tmp_path / "Pictures", 2)
    settings = Settings(
        data_dir=tmp_path / "data",
        scoring={"model": f"file:{checkpoint}"},  # type: ignore[arg-type]
        folders={"settle_s": 0.1},  # type: ignore[arg-type]
        rating={"minimum_photos": 2},  # type: ignore[arg-type]
    )
    may_scan, may_score, may_calibrate = threading.Event(), threading.Event(), threading.Event()
    scan = DiscoveryStage.run
    monkeypatch.setattr(DiscoveryStage, "run", lambda self: may_scan.wait(TIMEOUT_S) and scan(self))
    with Library.open(settings.data_dir / "library.db") as library:
        pipeline = Pipeline(settings, library, [photos[0].parent], once=True)
        score, waiting = pipeline.client.score, pipeline.waiting
        monkeypatch.setattr(
            pipeline.client, "score", lambda blocks: may_score.wait(TIMEOUT_S) and score(blocks)
        )
        pipeline.start()
        try:
            until(lambda: pipeline.rating.has_checked_files and pipeline.calibration.is_settled, "a check")
            may_scan.set()
            until(lambda: waiting()["score"] and pipeline.discovery.is_idle, "the photos")
            renew = pipeline.calibration.renew_if_due
            monkeypatch.setattr(
                pipeline.calibration, "renew_if_due", lambda: may_calibrate.wait(TIMEOUT_S) and renew()
            )

            asked = threading.Event()

            def waiting_after_the_score() -> dict[str, int]:
                asked.set()
                may_score.set()
                until(lambda: not waiting()["score"], "their scores")
                return waiting()

            monkeypatch.setattr(pipeline, "waiting", waiting_after_the_score)
            monkeypatch.setattr(pipeline.bursts, "is_settled", lambda: True)  # no groups to wait for
            monkeypatch.setattr(DiscoveryStage, "is_idle", True)
            assert not pipeline.is_done()
            assert asked.is_set()
            may_calibrate.set()
            until(pipeline.is_done, "the end")
            assert all(Path(f"{photo}.xmp").exists() for photo in photos)
        finally:
            for may in (may_scan, may_score, may_calibrate):
                may.set()
            pipeline.stop()
