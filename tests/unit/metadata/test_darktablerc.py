"""darktable's settings: every configuration folder, every workspace, and darktable's defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from maclip_daemon.metadata.managers import darktablerc


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path


def folder_in(home: Path, name: str, settings: str | None = None) -> Path:
    folder = home / name / "darktable"
    folder.mkdir(parents=True)
    if settings is not None:
        (folder / "darktablerc").write_text(settings)
    return folder


def test_all_configuration_folders_are_found_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = folder_in(home, ".config")
    flatpak = folder_in(home, ".var/app/org.darktable.Darktable/config")
    assert darktablerc.configuration_folders() == [usual, flatpak]
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    assert darktablerc.configuration_folders() == [usual, flatpak]
    elsewhere = folder_in(home, "elsewhere")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "elsewhere"))
    assert darktablerc.configuration_folders() == [elsewhere, usual, flatpak]


def test_a_folder_without_settings_has_darktables_defaults(home: Path) -> None:
    folder = folder_in(home, ".config")
    (folder / "library.db").touch()
    (found,) = darktablerc.workspaces(folder)
    assert (found.write_sidecar_files, found.initial_rating, found.ignores_ratings) == ("on import", 1, False)
    assert found.keeps_sidecars_current


@pytest.mark.parametrize(("text", "stars"), [("0", 0), ("3", 3), ("6", 1), ("-1", 1), ("x", 1), ("", 1)])
def test_the_initial_rating_is_read_as_darktable_does(home: Path, text: str, stars: int) -> None:
    folder_in(home, ".config", f"ui_last/import_initial_rating={text}\n")
    (found,) = darktablerc.workspaces(home / ".config" / "darktable")
    assert found.initial_rating == stars
    assert darktablerc.first_stars() == {stars or 1}


def test_without_darktable_its_default_counts(home: Path) -> None:
    assert darktablerc.first_stars() == {1}


def test_a_workspace_overrides_what_all_have_in_common(home: Path) -> None:
    folder = folder_in(home, ".config", "write_sidecar_files=after edit\n")
    (folder / "darktablerc-common").write_text("write_sidecar_files=never\n")
    (folder / "darktablerc-wedding").write_text("write_sidecar_files=on import\n")
    (folder / "library-trip.db").touch()
    found = {each.file.name: each.write_sidecar_files for each in darktablerc.workspaces(folder)}
    assert found == {
        "darktablerc": "after edit",
        "darktablerc-trip": "never",
        "darktablerc-wedding": "on import",
    }
    for library, mode in (("library.db", "after edit"), ("library-wedding.db", "on import")):
        assert darktablerc.settings_of(folder / library).write_sidecar_files == mode
    elsewhere = darktablerc.settings_of(home / "elsewhere.db")
    assert elsewhere.write_sidecar_files == "after edit", (
        "darktable --library leaves the settings where they are"
    )


@pytest.mark.parametrize(
    ("old", "new"), [("TRUE", "on import"), ("FALSE", "never"), ("After Edit", "after edit")]
)
def test_older_words_are_understood(home: Path, old: str, new: str) -> None:
    folder = folder_in(home, ".config", f"write_sidecar_files={old}\n")
    assert darktablerc.workspaces(folder)[0].write_sidecar_files == new
