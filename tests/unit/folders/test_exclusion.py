import pytest

from maclip_daemon.errors import ConfigurationError
from maclip_daemon.folders.exclusion import Exclusion


@pytest.mark.parametrize(
    "folder",
    [
        ".git",
        "2026/.hidden",
        "@eaDir",
        "2026/@eaDir",
        "#recycle",
        "#snapshot",
        "$RECYCLE.BIN",
        "$Recycle.Bin",
        "System Volume Information",
        "lost+found",
        ".Trash-1000",
        ".dtrash",
        ".Trashes",
        "@Recycle",
    ],
)
def test_hidden_trash_and_thumbnail_folders_are_excluded(folder: str) -> None:
    assert Exclusion().excludes_folder(folder)


@pytest.mark.parametrize("folder", ["2026", "2026/eaDir", "recycle", "a.b", "lost and found"])
def test_ordinary_folders_are_walked(folder: str) -> None:
    assert not Exclusion(["*.tmp/", "private/"]).excludes_folder(folder)


def test_hidden_files_are_excluded_and_so_our_temporary_ones() -> None:
    assert Exclusion().excludes_file("2026/.maclip-x7.jpg")
    assert Exclusion().excludes_file("._IMG_1.jpg")
    assert not Exclusion().excludes_file("2026/IMG_1.jpg")


def test_patterns_work_as_in_gitignore() -> None:
    exclusion = Exclusion(["exports/", "/raw/*.dng", "*_preview.jpg", "!keep_preview.jpg", "a/**/z"])
    assert exclusion.excludes_folder("2026/exports")
    assert not exclusion.excludes_file("2026/exports.jpg")
    assert exclusion.excludes_file("raw/1.dng")
    assert not exclusion.excludes_file("2026/raw/1.dng")
    assert exclusion.excludes_file("x/1_preview.jpg")
    assert not exclusion.excludes_file("x/keep_preview.jpg")
    assert exclusion.excludes_folder("a/b/c/z")


def test_names_with_newlines_and_broken_utf8_are_matched() -> None:
    exclusion = Exclusion(["exports/", "a/**/*.tif"])
    assert exclusion.excludes_folder("new\nline/exports")
    assert exclusion.excludes_file("a/new\nline/b\n\udcff.tif")
    assert not exclusion.excludes_file("a/new\nline/b\n\udcff.jpg")


def test_a_path_below_an_excluded_folder_is_excluded() -> None:
    exclusion = Exclusion(["exports/"])
    assert exclusion.excludes_path("2026/exports/web/1.jpg", is_folder=False)
    assert exclusion.excludes_path(".hidden/web", is_folder=True)
    assert not exclusion.excludes_path("2026/web/1.jpg", is_folder=False)


def test_a_pattern_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"folders\.exclude: the pattern '!'"):
        Exclusion(["*.tif", "!"])
