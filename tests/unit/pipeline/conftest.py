from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from maclip_daemon.library.storage.database import Library
from tests.darktable_home import DarktableHome
from tests.rated_library import RatedLibrary


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new library as a folder to copy: making one takes a fifth of a second."""
    path = tmp_path_factory.mktemp("empty") / "data" / "library.db"
    Library.open(path).close()
    return path.parent


@pytest.fixture
def rated(tmp_path: Path, empty_database: Path) -> Iterator[RatedLibrary]:
    """A library whose photos and clock the test sets."""
    shutil.copytree(empty_database, tmp_path / "data")
    with Library.open(tmp_path / "data" / "library.db") as library:
        yield RatedLibrary(tmp_path / "photos", library)


@pytest.fixture
def darktable(rated: RatedLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DarktableHome:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return DarktableHome(tmp_path / "home" / ".config" / "darktable", rated.folder)
