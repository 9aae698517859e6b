"""The metadata process dies during a batch of ratings: every photo still gets its stars."""

from __future__ import annotations

from collections.abc import Sequence

from maclip_daemon import errors
from maclip_daemon.library.results import scores
from maclip_daemon.library.storage.database import Library
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import Prepared, RatingRequest
from maclip_daemon.pipeline.commands import rerate
from maclip_daemon.pipeline.rating.rate_jobs import RateJobs
from maclip_daemon.pipeline.rating.rating_stage import RatingStage
from maclip_daemon.pipeline.run_state import RunState
from maclip_daemon.settings import Settings
from tests.homes import Home, make_photos
from tests.rated_library import FakeRoots


class DiesOverBatches(MetadataWriter):
    """A real writer whose process dies whenever it gets more than one photo."""

    lost = 0

    def prepare_many(self, requests: Sequence[RatingRequest]) -> list[Prepared | errors.MaclipError]:
        if len(requests) > 1:
            self.lost += 1
            super().prepare_many(requests)
            self._child.kill()
            raise errors.ChildDied("the process metadata.process ended by signal 9")
        return super().prepare_many(requests)


def test_photos_of_a_lost_batch_are_rated_one_by_one_without_left_over_files(home: Home) -> None:
    make_photos(home.photos, 5)
    home.maclip("run", "--once", home.photos, "--mode", "off")
    settings = Settings(data_dir=home.data, rating={"minimum_photos": 5})
    state = RunState()
    with Library.open(home.data / "library.db") as library, DiesOverBatches() as writer:
        rerate.calibrate(library, settings, state.clock())
        with library.reading() as session:
            config = scores.active_scoring_config(session)
        assert config is not None
        rate_jobs = RateJobs(library, state, settings.jobs, "test", FakeRoots())
        rating = RatingStage(rate_jobs, state, settings.rating, writer)
        while rating.work():
            pass
        assert writer.lost == 1
    assert state.tally.rated == 5
    assert not state.tally.failed
    assert len(list(home.photos.glob("*.xmp"))) == 5
    assert not list(home.photos.glob(".maclip-*"))
    assert home.sql("select count(*) from rating_journal where state = 'written'") == [(5,)]
    assert home.sql("select count(*) from jobs") == [(0,)]
