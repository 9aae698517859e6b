"""Spells of work: one line of the log at the end of each, and one a minute while it lasts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from structlog.testing import capture_logs

from maclip_daemon.daemon.work_spells import PROGRESS_S, QUIET_S, WorkSpell, WorkSpells
from maclip_daemon.pipeline.run import Pipeline
from maclip_daemon.pipeline.run_state import Tally


class Desk:
    """A run whose work and clock the test moves, looked at every two seconds."""

    def __init__(self) -> None:
        self.now = 100.0
        self.tally = Tally()
        self.jobs = 0
        self.spells = WorkSpells(lambda: self.now)
        self.run = SimpleNamespace(
            state=SimpleNamespace(tally=self.tally), waiting=lambda: {"score": self.jobs, "rate": 0}
        )

    def look(self, for_s: float = 2.0) -> list[WorkSpell]:
        ended = []
        for _ in range(round(for_s / 2)):
            self.now += 2.0
            if (spell := self.spells.update(cast("Pipeline", self.run))) is not None:
                ended.append(spell)
        return ended


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_each_import_ends_with_one_line(desk: Desk) -> None:
    with capture_logs() as lines:
        for _ in range(2):
            desk.tally.scored += 1
            assert desk.look(10) == [WorkSpell(scored=1)]
    assert [(line["event"], line["scored"]) for line in lines] == [("done, waiting for photos", 1)] * 2


def test_a_long_import_has_a_line_a_minute(desk: Desk) -> None:
    desk.jobs = 1
    with capture_logs() as lines:
        for _ in range(5):
            desk.tally.scored += 10
            assert desk.look(PROGRESS_S / 2) == []
        desk.jobs = 0
        desk.tally.rated += 50
        assert desk.look(4) == [WorkSpell(scored=50, rated=50)]
    assert [line["event"] for line in lines] == ["at work", "at work", "done, waiting for photos"]


def test_jobs_that_wait_for_something_else_end_no_import_for_ever(desk: Desk) -> None:
    desk.jobs = 3
    desk.tally.scored += 1
    assert desk.look(QUIET_S - 2) == []
    assert desk.look(6) == [WorkSpell(scored=1)]
    assert desk.look(QUIET_S * 2) == []


def test_the_counts_of_a_new_run_begin_anew(desk: Desk) -> None:
    desk.tally.scored += 5
    assert desk.look(4) == [WorkSpell(scored=5)]
    desk.run = SimpleNamespace(
        state=SimpleNamespace(tally=Tally(scored=2)), waiting=lambda: {"score": 0, "rate": 0}
    )
    assert desk.look(6) == [WorkSpell(scored=2)]
