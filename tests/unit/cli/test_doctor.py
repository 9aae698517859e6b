"""What `maclip doctor` says about photo managers."""

from __future__ import annotations

from pathlib import Path

import pytest

from maclip_daemon.cli import doctor_command


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "darktable").mkdir()
    return tmp_path


def findings() -> dict[str, tuple[str, str]]:
    return {finding.what: (finding.state, finding.says) for finding in doctor_command._photo_managers()}


def test_applications_that_are_not_there_are_not_mentioned(configuration: Path) -> None:
    assert findings() == {}


def test_the_missing_options_of_digikam_are_named_as_its_dialog_has_them(configuration: Path) -> None:
    settings = configuration / "digikamrc"
    settings.write_text("[Metadata Settings]\nUse XMP Sidecar For Reading=true\n")
    state, says = findings()["digiKam"]
    assert state == "note"
    assert "Rescan file when files are modified" in says
    assert "Write Rating" in says
    assert "sidecar" not in says
    with settings.open("a") as file:
        file.write("Rescan File If Modified=true\nSave Rating=true\n")
    assert findings()["digiKam"][0] == "good"


def test_a_darktable_that_keeps_stars_to_itself_is_named(configuration: Path) -> None:
    settings = configuration / "darktable" / "darktablerc"
    settings.write_text("write_sidecar_files=never\n")
    assert findings()["darktable"][0] == "note"
    settings.write_text("write_sidecar_files=after edit\n")
    assert findings()["darktable"][0] == "good"
