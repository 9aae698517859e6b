from __future__ import annotations

import pytest
from simulated_scoring import SimulatedScoring

from maclip_daemon.pipeline.scoring import scoring_stage
from tests.rated_library import RatedLibrary


@pytest.fixture
def scoring(rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch) -> SimulatedScoring:
    """A scoring stage whose decoder and scorer take turns in the test's thread, without waiting."""
    simulated = SimulatedScoring(rated)
    monkeypatch.setattr(scoring_stage, "IDLE_POLL_S", 0.0)
    monkeypatch.setattr(rated.state, "wait_for_work", lambda timeout_s: simulated.stage.score_loop())
    return simulated
