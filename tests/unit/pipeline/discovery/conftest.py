from __future__ import annotations

import pytest
from simulated_discovery import SimulatedDiscovery

from tests.rated_library import RatedLibrary


@pytest.fixture
def discovery(rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch) -> SimulatedDiscovery:
    """A discovery stage in simulated time, with one root."""
    return SimulatedDiscovery(rated, monkeypatch)
