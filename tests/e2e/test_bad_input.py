"""Wrong use and unsuitable machines: one sentence with the problem, its subject and the next step."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.homes import Home, make_photos


def one_sentence(home: Home, *arguments: str | Path, code: int, **environment: str) -> str:
    """Run a command that must fail, and return the one line it prints."""
    done = home.maclip(*arguments, expect=code, **environment)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("maclip: ")
    assert "Traceback" not in done.stderr
    return lines[0]


def test_a_missing_folder_is_named(home: Home) -> None:
    output = one_sentence(home, "run", "--once", home.folder / "nowhere", code=3)
    assert str(home.folder / "nowhere") in output


def test_a_file_given_as_a_folder_is_refused(home: Home) -> None:
    photo = make_photos(home.photos, 1)[0]
    assert str(photo) in one_sentence(home, "run", "--once", photo, code=2)


def test_run_without_a_folder_is_refused(home: Home) -> None:
    assert "maclip run ~/Pictures" in one_sentence(home, "run", "--once", code=2)


def test_an_unknown_key_and_a_wrong_value_in_the_configuration_are_both_named(home: Home) -> None:
    configuration = home.folder / "config.toml"
    configuration.write_text("[scoring]\nmodle = 'x'\n[rating]\nshares = [10, 20, 40, 20, 20]\n")
    output = one_sentence(home, "--config", configuration, "run", "--once", home.photos, code=2)
    assert "scoring.modle" in output
    assert "rating.shares" in output
    assert str(configuration) in output
    configuration.write_text("[scoring\n")
    assert "not valid TOML" in one_sentence(home, "--config", configuration, "config", "validate", code=2)
    missing = home.folder / "missing.toml"
    assert "does not exist" in one_sentence(home, "--config", missing, "config", "show", code=2)


def test_a_corrupt_database_is_refused_and_not_changed(home: Home) -> None:
    make_photos(home.photos, 2)
    home.maclip("run", "--once", home.photos)
    database = home.data / "library.db"
    damaged = bytearray(database.read_bytes())
    damaged[100:8000] = b"\xff" * 7900
    database.write_bytes(damaged)
    for command in (("run", "--once", str(home.photos)), ("worst",), ("status",)):
        assert str(database) in one_sentence(home, *command, code=3)
    assert database.read_bytes() == damaged


def test_a_database_of_another_program_is_never_overwritten(home: Home) -> None:
    home.data.mkdir()
    connection = sqlite3.connect(home.data / "library.db")
    connection.execute("create table recipes (name text)")
    connection.commit()
    connection.close()
    one_sentence(home, "run", "--once", home.photos, code=3)
    connection = sqlite3.connect(home.data / "library.db")
    assert connection.execute("select name from sqlite_master").fetchall() == [("recipes",)]
    connection.close()


@pytest.mark.parametrize(
    ("model", "code", "message"),
    [
        ("file:/nowhere/clip.pt", 3, "/nowhere/clip.pt"),
        ("rn50-openai", 3, "maclip models pull rn50-openai"),
        ("rn51", 2, "There is no model 'rn51'"),
    ],
)
def test_a_missing_model_is_named(home: Home, model: str, code: int, message: str) -> None:
    make_photos(home.photos, 1)
    assert message in one_sentence(home, "run", "--once", home.photos, "--model", model, code=code)


def test_a_checkpoint_of_the_wrong_kind_is_refused(home: Home) -> None:
    make_photos(home.photos, 1)
    wrong = home.folder / "wrong.pt"
    wrong.write_bytes(b"this is no checkpoint" * 100)
    output = one_sentence(home, "run", "--once", home.photos, "--model", f"file:{wrong}", code=3)
    assert "wrong.pt" in output
    # Nothing is lost, and no attempt was used up.
    assert home.sql("select count(*), max(attempts) from jobs") == [(1, 0)]


def test_commands_before_the_first_run_explain_how_to_begin(home: Home) -> None:
    for command in ("worst", "status", "stats", "undo", "rate", "retry", "purge"):
        assert "maclip run FOLDER" in one_sentence(home, command, code=3)


def test_an_unknown_metric_or_protocol_is_refused(home: Home) -> None:
    assert "maclip, clipiqa" in one_sentence(home, "run", "--once", home.photos, "--metric", "x", code=2)
    assert "spaq448" in one_sentence(home, "run", "--once", home.photos, "--protocol", "x", code=2)


def test_a_photo_outside_the_library_is_named(home: Home) -> None:
    make_photos(home.photos, 1)
    home.maclip("run", "--once", home.photos)
    assert "not in the library" in one_sentence(home, "show", home.photos / "other.jpg", code=2)


def test_an_empty_name_is_not_the_current_folder(home: Home) -> None:
    assert "folder names is empty" in one_sentence(home, "run", "--once", "", code=2)


def test_under_refuses_a_missing_folder(home: Home) -> None:
    photo = make_photos(home.photos, 1)[0]
    home.maclip("run", "--once", home.photos)
    assert "is a file" in one_sentence(home, "worst", "--under", photo, code=2)
    assert "no folder" in one_sentence(home, "worst", "--under", home.folder / "nowhere", code=2)
