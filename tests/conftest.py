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
    parser.addoption("--full", action="store_true", help="run the long form: every test, variant and round")
    parser.addoption("--renew", action="store_true", help="write documentation that tests compare with")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "long_form(*variants): runs with --full only; with names, only those variants of the test"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the short tests to the end, so that no process works on a long one when the others are done."""
    items.sort(key=lambda item: "unit" in item.path.parts)
    for item in items if not config.getoption("--full") else []:
        for mark in item.iter_markers("long_form"):
            variant = item.callspec.id.split("-") if isinstance(item, pytest.Function) and mark.args else []
            if not mark.args or set(mark.args) & set(variant):
                item.add_marker(pytest.mark.skip(reason="of the long form: --full runs it"))


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
