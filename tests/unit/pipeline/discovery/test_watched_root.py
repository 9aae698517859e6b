"""A watched root at work."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from maclip_daemon.folders import filesystem_probe, root_health
from maclip_daemon.folders.root_health import Root
from maclip_daemon.library.storage.database import Library
from maclip_daemon.pipeline.discovery.watched_root import WatchedRoot
from maclip_daemon.pipeline.run_state import RunState
from maclip_daemon.settings import FolderSettings


@pytest.mark.parametrize("stops", [False, True])
def test_a_share_that_does_not_answer_is_offline_unless_the_run_is_stopping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops: bool
) -> None:
    monkeypatch.setattr(filesystem_probe, "polled_folders", lambda root: [root])
    state = RunState(filesystem_timeout_s=60)
    server = threading.Event()
    with Library.open(tmp_path / "library.db") as library:
        root = WatchedRoot(library, state, FolderSettings(), Root(str(tmp_path)))
        assert root.check()
        before = root.health
        monkeypatch.setattr(root_health, "check", lambda *_, **__: server.wait())
        monkeypatch.setattr(state.probe, "_timeout_s", 0.1)
        if stops:
            state.stop()
        assert not root.check()
        if stops:
            assert root.health is before
        else:
            assert root.health is not None
            assert root.health.state == "silent"
            assert "does not answer" in root.description()["reason"]
    server.set()
