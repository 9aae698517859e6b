"""An idle daemon polls for jobs without writing: that spares the disk and needs no lock."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from maclip_daemon.library.storage.database import Library
from maclip_daemon.pipeline.rating.rate_jobs import RateJobs
from maclip_daemon.pipeline.run_state import RunState, StageContext
from maclip_daemon.pipeline.scoring.score_jobs import ScoreJobs
from maclip_daemon.settings import Settings
from tests.rated_library import FakeRoots


@pytest.fixture
def locked_library(tmp_path: Path) -> Iterator[Library]:
    """A library without work, which another program holds locked."""
    with contextlib.closing(Library.open(tmp_path / "library.db")) as library:
        other = sqlite3.connect(tmp_path / "library.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        yield library
        other.close()


def test_polling_for_jobs_needs_no_lock(locked_library: Library, tmp_path: Path) -> None:
    settings, state = Settings(data_dir=tmp_path), RunState()
    score_jobs = ScoreJobs(StageContext(locked_library, state, settings, 1, "worker"), FakeRoots(), 4)
    assert score_jobs.take() is None
    assert RateJobs(locked_library, state, settings.jobs, "worker", FakeRoots()).take(4) == []
