"""Listening: how long it waits after a watcher died, and what it says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.folders.root_health import Root
from maclip_daemon.pipeline.discovery.watcher_supervisor import SAID_S, WatcherSupervisor

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the watcher that dies is that of inotify")


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_watchers_that_keep_dying_are_replaced_ever_more_slowly_and_it_is_said_for_a_day(
    tmp_path: Path,
) -> None:
    clock = Clock()
    listening = WatcherSupervisor(Root(str(tmp_path)), Exclusion(), 60.0, clock)
    assert not listening.has_died
    pauses = []
    for _ in range(6):
        listening.start(lambda event: None)
        assert listening.is_alive
        pauses.append(listening.close_dead())
    assert pauses == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
    assert not listening.is_alive
    listening.start(lambda event: None)
    assert [warning for warning in listening.warnings() if "watcher of this folder died" in warning]
    clock.now += SAID_S + 1
    assert listening.warnings() == []
    listening.close()


def test_a_watcher_closed_because_its_root_is_away_did_not_die(tmp_path: Path) -> None:
    listening = WatcherSupervisor(Root(str(tmp_path)), Exclusion(), 60.0, Clock())
    listening.start(lambda event: None)
    listening.close_dead()
    listening.pause()
    listening.start(lambda event: None)
    assert listening.warnings() == []
    listening.close()


def test_a_root_that_cannot_be_watched_is_said(tmp_path: Path) -> None:
    listening = WatcherSupervisor(Root(str(tmp_path / "gone")), Exclusion(), 60.0, Clock())
    listening.start(lambda event: None)
    assert not listening.covers_all
    assert "cannot be watched" in listening.warnings()[0]
