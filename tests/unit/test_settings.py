"""Where settings come from, and how wrong ones are reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from maclip_daemon import settings
from maclip_daemon.errors import ConfigurationError


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_flags_win_over_the_environment_and_that_over_the_file(
    configuration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration.write_text("[scoring]\nmodel = 'a'\nmetric = 'a'\ndevice = 'a'\n")
    monkeypatch.setenv("MACLIP_SCORING__METRIC", "b")
    monkeypatch.setenv("MACLIP_SCORING__DEVICE", "b")
    loaded = settings.load(configuration, {"scoring": {"device": "c"}})
    assert (loaded.scoring.model, loaded.scoring.metric, loaded.scoring.device) == ("a", "b", "c")


def test_the_data_folder_comes_from_its_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MACLIP_DATA_DIR", str(tmp_path))
    assert settings.load(None).database_path == tmp_path / "library.db"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[scoring]\nmodle = 1", "scoring.modle"),
        ("[rating]\nmode = 'both'", "rating.mode"),
        ("[rating]\nshares = [50, 50, 0, 0, 10]", "add up to 100, not 110"),
        ("[rating]\nedges = [0.5, 0.4, 0.6, 0.7]", "must be in ascending order"),
        ("[folders]\nsettle_s = 0", "folders.settle_s"),
        ("[folders]\nsettle_s = 'soon'", "folders.settle_s must be a valid number, not 'soon'"),
        ("[rating]\nshares = [50, 50]", "rating.shares.2 is missing"),
        ("[notify]\nhealth_url = 'ftp://topsecret'", "health_url must begin with https:// or http://"),
        ("[notify]\nurls = [3]", "notify.urls.0"),
        ("[background]\nquiet_hours = ['22-7']", "quiet_hours must be hours of the day such as 22:00-07:00"),
        ("[background]\nquiet_hours = ['24:00-07:00']", "not '24:00-07:00'"),
        ("[background]\nquiet_hours = ['07:00-07:00']", "not '07:00-07:00'"),
        ("folders = 3", r"folders must be a section of the file \(\[folders\]\), not 3"),
        ("[scoring", "not valid TOML"),
    ],
)
def test_a_wrong_setting_is_named_with_its_file(configuration: Path, text: str, named: str) -> None:
    configuration.write_text(text)
    with pytest.raises(ConfigurationError, match=named) as caught:
        settings.load(configuration)
    assert str(configuration) in str(caught.value)


@pytest.mark.parametrize("text", ["health_url = 'ftp://topsecret'", "urls = {a = 'topsecret'}"])
def test_a_wrong_address_is_not_shown_because_it_holds_secrets(configuration: Path, text: str) -> None:
    configuration.write_text(f"[notify]\n{text}")
    with pytest.raises(ConfigurationError) as caught:
        settings.load(configuration)
    assert "topsecret" not in str(caught.value)


def test_one_address_needs_no_list(configuration: Path) -> None:
    configuration.write_text("[notify]\nurls = 'json://topsecret'")
    loaded = settings.load(configuration).notify
    assert [url.get_secret_value() for url in loaded.urls] == ["json://topsecret"]
    assert "topsecret" not in repr(loaded)


def test_every_wrong_setting_is_named_at_once(configuration: Path) -> None:
    configuration.write_text("[scoring]\na = 1\nb = 2\n[jobs]\nmax_attempts = 0\n")
    with pytest.raises(ConfigurationError, match=r"scoring\.a.*scoring\.b.*jobs\.max_attempts"):
        settings.load(configuration)


def test_a_file_that_was_named_must_exist(configuration: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        settings.load(configuration)


def test_the_old_name_of_a_setting_is_accepted_with_a_hint(configuration: Path) -> None:
    configuration.write_text("[folders]\nanswer_s = 7\n")
    loaded = settings.load(configuration)
    assert loaded.folders.filesystem_timeout_s == 7
    (hint,) = loaded.hints
    assert "folders.answer_s is now called folders.filesystem_timeout_s" in hint


def test_the_old_name_of_a_setting_is_accepted_in_the_environment(
    configuration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration.touch()
    monkeypatch.setenv("MACLIP_FOLDERS__ANSWER_S", "7")
    assert settings.load(configuration).folders.filesystem_timeout_s == 7


def test_the_new_name_of_a_setting_wins_and_needs_no_hint(configuration: Path) -> None:
    configuration.write_text("[folders]\nanswer_s = 7\nfilesystem_timeout_s = 8\n")
    assert settings.load(configuration).folders.filesystem_timeout_s == 8
    configuration.write_text("[folders]\nfilesystem_timeout_s = 8\n")
    assert settings.load(configuration).hints == ()


def test_a_variable_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MACLIP_FOLDERS__PATHS", "/photos")
    with pytest.raises(ConfigurationError, match="MACLIP_FOLDERS"):
        settings.load(None)
