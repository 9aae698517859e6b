"""An update of the program under a running daemon."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from maclip_daemon.daemon.update_check import CHECK_S, UpdateCheck
from maclip_daemon.errors import EnvironmentUnfit, ProgramReplaced
from maclip_daemon.processes import program_files
from maclip_daemon.processes.child import Child
from maclip_daemon.processes.program_files import State


def state(*versions: int) -> State:
    return frozenset((f"module{index}.py", version, version) for index, version in enumerate(versions))


class Program:
    """A program whose files the test replaces, and a clock."""

    def __init__(self) -> None:
        self.files = state(1, 1)
        self.now = 0.0
        self.looks = 0
        self.updates = UpdateCheck(lambda: self.now, self._look)

    def _look(self) -> State:
        self.looks += 1
        return self.files


def test_an_update_ends_the_daemon_once_it_is_complete() -> None:
    program = Program()
    program.updates.check()
    program.files = state(2, 1)
    program.now += CHECK_S
    program.updates.check()
    program.files = state(2, 2)
    program.updates.check()
    with pytest.raises(ProgramReplaced, match="must be started again"):
        program.updates.check()


def test_the_files_are_looked_at_every_ten_seconds_and_not_at_every_call() -> None:
    program = Program()
    for _ in range(50):
        program.now += 1
        program.updates.check()
    assert program.looks <= 1 + 50 / CHECK_S + 1


def test_an_unexpected_error_after_an_update_is_the_updates() -> None:
    program = Program()
    program.updates.require_same_program()
    program.files = state(2, 1)
    with pytest.raises(ProgramReplaced):
        program.updates.require_same_program()


def test_another_content_or_time_or_name_is_another_state(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "other.json").write_text("1")
    states = [program_files.state(tmp_path)]
    os.utime(tmp_path / "a.py", (1, 1))
    states.append(program_files.state(tmp_path))
    (tmp_path / "b.py").write_text("1")
    states.append(program_files.state(tmp_path))
    assert len(set(states)) == 3
    (tmp_path / "other.json").write_text("12")
    assert program_files.state(tmp_path) == states[-1]


def test_no_child_of_another_version_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    child = Child("maclip_daemon.metadata.metadata_process")
    monkeypatch.setattr(program_files, "state", lambda: state(2))
    with pytest.raises(EnvironmentUnfit, match="was updated while it runs"):
        child.request({}, timeout_s=5)
    assert child.pid is None
