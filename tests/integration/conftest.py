"""Fixtures of the integration tests: a watched folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.watch_listener import Listener


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def listener(root: Path) -> Iterator[Listener]:
    with contextlib.closing(Listener(root)) as listener:
        yield listener
