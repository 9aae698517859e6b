"""The watcher of a root: replaced ever more slowly when it dies, with a warning."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.folders.root_health import Root
from maclip_daemon.pipeline.discovery.watcher_supervisor import WARNING_S, WatcherSupervisor

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the watcher that dies is that of inotify")


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_watchers_that_keep_dying_are_replaced_ever_more_slowly_and_status_warns_for_a_day(
    tmp_path: Path,
) -> None:
    clock = Clock()
    supervisor = WatcherSupervisor(Root(str(tmp_path)), Exclusion(), 60.0, clock)
    assert not supervisor.has_died
    pauses = []
    for _ in range(6):
        supervisor.start(lambda event: None)
        assert supervisor.is_alive
        pauses.append(supervisor.close_dead())
    assert pauses == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
    assert not supervisor.is_alive
    supervisor.start(lambda event: None)
    assert [warning for warning in supervisor.warnings() if "watcher of this folder died" in warning]
    clock.now += WARNING_S + 1
    assert supervisor.warnings() == []
    supervisor.close()


def test_a_watcher_closed_because_its_root_is_offline_did_not_die(tmp_path: Path) -> None:
    supervisor = WatcherSupervisor(Root(str(tmp_path)), Exclusion(), 60.0, Clock())
    supervisor.start(lambda event: None)
    supervisor.close_dead()
    supervisor.pause()
    supervisor.start(lambda event: None)
    assert supervisor.warnings() == []
    supervisor.close()


def test_a_root_that_cannot_be_watched_is_a_warning(tmp_path: Path) -> None:
    supervisor = WatcherSupervisor(Root(str(tmp_path / "gone")), Exclusion(), 60.0, Clock())
    supervisor.start(lambda event: None)
    assert not supervisor.covers_all
    assert "cannot be watched" in supervisor.warnings()[0]
