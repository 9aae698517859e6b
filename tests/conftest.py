"""Fixtures and options for all tests: a home with a real daemon, and `--full`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from maclip_daemon.iqa.models import seeded_checkpoint
from tests.homes import Home

# As on a person's machine: pipes are buffered (what a command says while it works must arrive all the same),
# and a start finds the program compiled (each daemon of a test would compile 200 modules again).
for name in ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"):
    os.environ.pop(name, None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run every round of the fault suite (long)")
    parser.addoption("--renew", action="store_true", help="write documentation that tests compare with")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the short tests to the end, so that no process works on a long one when the others are done."""
    items.sort(key=lambda item: "unit" in item.path.parts)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a small CLIP with seeded random weights: meaningless, repeatable scores."""
    path = tmp_path_factory.mktemp("model") / "seeded.safetensors"
    seeded_checkpoint.write_seeded_checkpoint(path)
    return path


@pytest.fixture
def home(tmp_path: Path, checkpoint: Path) -> Iterator[Home]:
    home = Home(tmp_path, checkpoint)
    yield home
    home.kill_daemons()
