"""The daemon's duties that need no photos."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from maclip_daemon.daemon import supervisor, systemd_notify
from maclip_daemon.errors import UsageError
from maclip_daemon.pipeline.run_state import RunState
from maclip_daemon.settings import Settings


def test_the_folders_of_the_command_line_win_over_those_of_the_settings(tmp_path: Path) -> None:
    settings = Settings(folders={"paths": [tmp_path]})
    assert supervisor.folders_to_watch(settings, []) == [tmp_path]
    assert supervisor.folders_to_watch(settings, [Path("/other")]) == [Path("/other")]
    with pytest.raises(UsageError, match=r"folders\.paths"):
        supervisor.folders_to_watch(Settings(), [])


def test_no_sign_of_life_is_given_while_a_part_has_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    state = RunState()
    told: list[str] = []
    pipeline: Any = SimpleNamespace(
        state=state, run_maintenance=lambda: None, description=lambda: {}, remember=lambda description: None
    )
    watched = supervisor.Daemon(Settings, [])

    def stop_after_the_first_look(*_: object) -> None:
        watched._stop = True

    monkeypatch.setattr(watched, "_wait", stop_after_the_first_look)
    monkeypatch.setattr(systemd_notify, "watchdog", lambda: told.append("alive"))
    state.heartbeat.beat("scorer", -1)
    watched._tend(pipeline, None)  # type: ignore[arg-type]
    assert told == []
    state.heartbeat.beat("scorer", 60)
    watched._stop = False
    watched._tend(pipeline, None)  # type: ignore[arg-type]
    assert told == ["alive"]
