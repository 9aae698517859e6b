"""Why no daemon runs any more."""

from __future__ import annotations

from pathlib import Path

import pytest

from maclip_daemon.daemon import stop_reason
from maclip_daemon.errors import ModelUnavailable


def test_an_error_that_ended_the_daemon_stays_until_the_next_start(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable), stop_reason.recorded(tmp_path):
        raise ModelUnavailable("The model is gone.")
    found = stop_reason.read(tmp_path)
    assert found is not None
    assert found.sentence().startswith("it stopped at ")
    assert found.sentence().endswith(": The model is gone.")
    with stop_reason.recorded(tmp_path):
        pass
    assert stop_reason.read(tmp_path) is None


def test_a_daemon_that_could_say_nothing_was_killed(tmp_path: Path) -> None:
    with stop_reason.recorded(tmp_path):
        found = stop_reason.read(tmp_path)
    assert found is not None
    assert "killed" in found.sentence()


@pytest.mark.parametrize("content", ["", "[]", '{"reason": "x"}', '{"reason": "x", "at": "noon"}'])
def test_a_damaged_reason_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "daemon.stopped").write_text(content)
    assert stop_reason.read(tmp_path) is None
