"""One daemon a data folder."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import pytest

from maclip_daemon.daemon.lock import is_running, locked
from maclip_daemon.errors import AlreadyRunning, EnvironmentUnfit


def test_a_second_one_is_refused_until_the_first_ended(tmp_path: Path) -> None:
    with locked(tmp_path / "data"):
        assert is_running(tmp_path / "data")
        with pytest.raises(AlreadyRunning, match="stop it first"), locked(tmp_path / "data"):
            pass
    assert not is_running(tmp_path / "data")
    with locked(tmp_path / "data"):
        pass


def test_checking_for_a_daemon_creates_no_data_folder(tmp_path: Path) -> None:
    assert not is_running(tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EnvironmentUnfit, match="file"), locked(tmp_path / "file" / "data"):
        pass


def test_a_service_waits_for_a_command_that_began_before_its_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "socket"))
    with contextlib.ExitStack() as command:
        command.enter_context(locked(tmp_path / "data"))
        threading.Timer(2.0, command.close).start()  # twice as long as others wait
        with locked(tmp_path / "data"):
            pass
