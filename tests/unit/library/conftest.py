from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from found_file import NOW, Found
from sqlalchemy.orm import Session

from maclip_daemon.library.photos import photo_records, root_records
from maclip_daemon.library.results import scores
from maclip_daemon.library.storage.database import Library


@pytest.fixture(scope="session")
def empty_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new library as a file to copy: making one takes a fifth of a second."""
    path = tmp_path_factory.mktemp("empty") / "data" / "library.db"
    Library.open(path).close()
    return path


@pytest.fixture
def library(tmp_path: Path, empty_library: Path) -> Iterator[Library]:
    shutil.copytree(empty_library.parent, tmp_path / "data")
    with Library.open(tmp_path / "data" / "library.db") as opened:
        yield opened


@pytest.fixture
def session(library: Library) -> Iterator[Session]:
    with library.writing() as opened:
        yield opened


@pytest.fixture
def add_photo(session: Session) -> Callable[..., int]:
    """Adds a photo at a path, each with another inode; with a score when one is given."""
    inodes = count(100)

    def add(path: str, score: float | None = None, **facts: int) -> int:
        root = root_records.root_for(session, "/photos", NOW)
        photo = photo_records.record_file(
            session, root, Found(path, inode=next(inodes), **facts), NOW
        ).photo_id
        if score is not None:
            config = scores.scoring_config_for(session, "maclip", "builtin", "spaq448")
            scores.activate(session, config.id)
            scores.record(session, config.id, [(photo, scores.ScoreRow(score))], NOW)
        return photo

    return add
