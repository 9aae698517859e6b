"""What `maclip doctor` says about photo managers."""

from __future__ import annotations

from pathlib import Path

import pytest

from maclip_daemon.cli.doctor import photo_manager_checks

GOOD = (
    "[Metadata Settings]\nUse XMP Sidecar For Reading=true\nRescan File If Modified=true\nSave Rating=true\n"
    "Metadata Writing Mode=1\n"
)


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    (tmp_path / "configuration" / "darktable").mkdir(parents=True)
    return tmp_path / "configuration"


def says(program: str) -> dict[str, str]:
    """Return what is said of a program, with the state of each finding."""
    return {each.says: each.state for each in photo_manager_checks.check() if each.what == program}


def about(program: str) -> str:
    return " / ".join(f"{state}: {words}" for words, state in says(program).items())


def test_applications_that_are_not_there_are_not_mentioned(configuration: Path) -> None:
    assert list(photo_manager_checks.check()) == []


def test_the_missing_options_of_digikam_are_named_as_its_dialog_has_them(configuration: Path) -> None:
    settings = configuration / "digikamrc"
    settings.write_text("[Metadata Settings]\nUse XMP Sidecar For Reading=true\n")
    (state,) = says("digiKam").values()
    assert state == "note"
    assert "Rescan file when files are modified" in about("digiKam")
    assert "Write Rating" in about("digiKam")
    assert "Write to sidecar files" in about("digiKam")
    assert "Read from sidecar files" not in about("digiKam")
    settings.write_text(GOOD)
    assert list(says("digiKam").values()) == ["good"]


@pytest.mark.parametrize(("mode", "state"), [(0, "note"), (1, "good"), (2, "good"), (3, "note")])
def test_digikam_must_write_stars_into_the_sidecars_of_all_photos(
    configuration: Path, mode: int, state: str
) -> None:
    (configuration / "digikamrc").write_text(GOOD.replace("Mode=1", f"Mode={mode}"))
    assert list(says("digiKam").values()) == [state]
    assert ("Write to sidecar files" in about("digiKam")) == (state == "note")


def test_an_option_of_another_section_does_not_count(configuration: Path) -> None:
    (configuration / "digikamrc").write_text(
        GOOD.replace("Save Rating=true", "[Album Settings]\nSave Rating=true")
    )
    assert "Write Rating" in about("digiKam")


def test_the_name_that_digikam_gives_sidecars_is_named(configuration: Path) -> None:
    (configuration / "digikamrc").write_text(GOOD)
    assert "IMG.jpg.xmp" in about("digiKam")
    (configuration / "digikamrc").write_text(GOOD + "Use Compatible File Name=true\n")
    assert "IMG.xmp" in about("digiKam")


@pytest.mark.parametrize(
    ("compatible", "sidecar_name", "states"),
    [
        ("false", "auto", ["good"]),
        ("true", "auto", ["good"]),
        ("false", "stem", ["good", "note"]),
        ("true", "full", ["good", "note"]),
        ("true", "stem", ["good"]),
    ],
)
def test_sidecars_need_the_one_name_that_digikam_looks_for(
    configuration: Path, compatible: str, sidecar_name: str, states: list[str]
) -> None:
    (configuration / "digikamrc").write_text(GOOD + f"Use Compatible File Name={compatible}\n")
    found = list(photo_manager_checks.check(sidecar_name))
    assert [each.state for each in found] == states
    assert ("rating.sidecar_name" in found[-1].says) == (len(states) == 2)


def test_digikam_and_darktable_from_flatpak_are_checked_too(configuration: Path, tmp_path: Path) -> None:
    applications = tmp_path / "home" / ".var" / "app"
    (applications / "org.kde.digikam" / "config").mkdir(parents=True)
    (applications / "org.kde.digikam" / "config" / "digikamrc").write_text("[Metadata Settings]\n")
    darktable = applications / "org.darktable.Darktable" / "config" / "darktable"
    darktable.mkdir(parents=True)
    (darktable / "darktablerc").write_text("write_sidecar_files=never\n")
    assert "note" in about("digiKam")
    assert "library only" in about("darktable")


@pytest.mark.parametrize(
    ("mode", "state"), [("never", "note"), ("after edit", "note"), ("on import", "good"), (None, "good")]
)
def test_darktable_should_write_sidecars_on_import(configuration: Path, mode: str | None, state: str) -> None:
    lines = "ui_last/import_initial_rating=0\n" + (f"write_sidecar_files={mode}\n" if mode else "")
    (configuration / "darktable" / "darktablerc").write_text(lines)
    assert list(says("darktable").values()) == [state]
    assert ("'on import'" in about("darktable")) == (state == "note")


def test_the_risk_of_sidecars_after_edit_is_explained(configuration: Path) -> None:
    (configuration / "darktable" / "darktablerc").write_text("write_sidecar_files=after edit\n")
    assert "deletes" in about("darktable")


def test_darktables_own_first_star_and_its_ignored_ratings_are_named(configuration: Path) -> None:
    settings = configuration / "darktable" / "darktablerc"
    settings.write_text("write_sidecar_files=on import\nui_last/ignore_exif_rating=TRUE\n")
    assert "ignore_exif_rating" in about("darktable")
    assert "★ when it imports" in about("darktable")
    settings.write_text("ui_last/import_initial_rating=0\nui_last/ignore_exif_rating=FALSE\n")
    assert list(says("darktable").values()) == ["good"]


def test_each_workspace_of_darktable_has_settings_of_its_own(configuration: Path) -> None:
    folder = configuration / "darktable"
    (folder / "darktablerc-common").write_text("database/multiple_workspace=TRUE\n")
    (folder / "darktablerc").write_text("ui_last/import_initial_rating=0\n")
    (folder / "darktablerc-wedding").write_text(
        "write_sidecar_files=never\nui_last/import_initial_rating=0\n"
    )
    assert sorted(says("darktable").values()) == ["good", "note"]
    assert "darktablerc-wedding" in about("darktable")
