"""A home with a real daemon, for every suite; and how long the suites of rounds take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from maclip_daemon.iqa.models import seeded_checkpoint
from tests.homes import Home


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="the long form of the fault suite: every round")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small seeded CLIP; its scores mean nothing, but they are always the same."""
    path = tmp_path_factory.mktemp("model") / "seeded.safetensors"
    seeded_checkpoint.write_seeded_checkpoint(path)
    return path


@pytest.fixture
def home(tmp_path: Path, checkpoint: Path) -> Iterator[Home]:
    home = Home(tmp_path, checkpoint)
    yield home
    home.kill_left_overs()
