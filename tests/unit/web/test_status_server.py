"""The address of the status page: asked for again where another program has it."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from maclip_daemon.pipeline.run import Pipeline
from maclip_daemon.settings import ListenSettings, Settings
from maclip_daemon.web.status import page_link, status_server
from maclip_daemon.web.status.status_server import TRY_AGAIN_S, StatusServer


def test_an_address_that_was_in_use_at_a_reload_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(status_server, "time", SimpleNamespace(monotonic=lambda: now))
    server = StatusServer()
    server.begin(Settings(data_dir=tmp_path))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        settings = Settings(data_dir=tmp_path, listen=ListenSettings(address=address))
        run = cast("Pipeline", SimpleNamespace(settings=settings))
        server.update(run)
        assert server._server is None
    server.update(run)
    assert server._server is None, "not at each look"
    now += TRY_AGAIN_S
    server.update(run)
    try:
        assert server._server is not None
    finally:
        server.end(None)


def test_a_reload_without_an_address_leaves_no_link_behind(tmp_path: Path) -> None:
    server = StatusServer()
    address = ListenSettings(address="127.0.0.1:0")
    server.begin(Settings(data_dir=tmp_path, listen=address))
    try:
        assert page_link.read(tmp_path)
        server.update(cast("Pipeline", SimpleNamespace(settings=Settings(data_dir=tmp_path))))
        assert not page_link.read(tmp_path)
    finally:
        server.end(None)
