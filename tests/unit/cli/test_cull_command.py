"""`maclip cull` in a terminal refuses the folders that the page refuses, and waits for a drive as it does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from maclip_daemon.cli.program import assembled
from maclip_daemon.errors import UsageError
from maclip_daemon.library.storage.database import Library
from maclip_daemon.pipeline.commands.culling import cull
from tests.rated_library import RatedLibrary
from tests.unit.pipeline.commands.test_cull import contents, files


@pytest.fixture
def rated(tmp_path: Path) -> Iterator[RatedLibrary]:
    with Library.open(tmp_path / "data" / "library.db") as library:
        yield RatedLibrary(tmp_path / "photos", library)


@pytest.fixture
def home(rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a watched folder and the library."""
    home = rated.folder.parent
    monkeypatch.setenv("HOME", os.fspath(home))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("MACLIP_DATA_DIR", os.fspath(home / "data"))
    monkeypatch.chdir(home)
    return home


def maclip(*arguments: str) -> Result:
    return CliRunner().invoke(assembled(), ["cull", *arguments])


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("photos/out", "inside the watched folder"),
        ("photos", "holds other things"),
        (".hidden", "is hidden"),
        ("data/out", "belongs to maclip itself"),
        ("/etc/out", "belongs to the system"),
        ("Mine.lrdata", "belongs to another program"),
        ("not/there", "is not there. Connect its drive"),
    ],
)
def test_a_folder_in_which_photos_would_be_lost_is_refused_before_anything_is_asked(
    rated: RatedLibrary, home: Path, monkeypatch: pytest.MonkeyPatch, typed: str, said: str
) -> None:
    rated.add("a.jpg")
    rated.write("update photos set rating_owner = 'person', rating_in_file = -1")
    result = maclip("--move", typed)
    assert isinstance(result.exception, UsageError), result.output
    assert said in str(result.exception)
    assert not Path(typed).exists() or typed == "photos"


def test_a_typed_folder_is_below_the_one_in_which_the_command_runs(rated: RatedLibrary, home: Path) -> None:
    rated.add("a.jpg")
    result = maclip("--move", "rejected")
    assert (result.exit_code, "You have rejected no photo." in result.output) == (0, True)
    assert not Path("rejected").exists()


def test_nothing_returns_to_the_mount_point_of_an_absent_drive(rated: RatedLibrary, home: Path) -> None:
    rated.add("a.jpg")
    photos, away, out = rated.folder, home / "unplugged", home / "rejected"
    (photos / "a.jpg").write_text("a photo")
    before = contents(photos)
    out.mkdir()
    assert cull.take_shot([photos / "a.jpg"], out)
    photos.rename(away)
    result = maclip("--undo", os.fspath(out))
    assert result.exit_code == 1
    assert "Connect its disk or mount it, then bring back again." in result.output
    assert not photos.exists()
    away.rename(photos)
    assert "1 file brought back." in maclip("--undo", "rejected").output
    assert contents(photos) == before


def test_photos_come_back_without_a_library(home: Path) -> None:
    (photo,) = files(home / "elsewhere", "a.jpg")
    (home / "rejected").mkdir()
    cull.take_shot([photo], home / "rejected")
    (home / "data").rename(home / "gone")
    assert maclip("--undo", "rejected").exit_code == 0
    assert photo.exists()
