"""`maclip pause` and `maclip resume`, and what `maclip status` says about them."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from maclip_daemon.cli.background.pause_commands import parse_duration
from maclip_daemon.cli.program import assembled
from maclip_daemon.daemon.lock import locked
from maclip_daemon.errors import EnvironmentUnfit, UsageError
from maclip_daemon.library.storage.notes import put_note
from maclip_daemon.pipeline.waits import PAUSE, Wait
from tests.rated_library import NOW, RatedLibrary


def data_dir(rated: RatedLibrary) -> Path:
    return rated.folder.parent / "data"


def maclip(rated: RatedLibrary, *arguments: str, **environment: str) -> str:
    environment |= {"MACLIP_DATA_DIR": os.fspath(data_dir(rated))}
    result = CliRunner().invoke(assembled(), arguments, env=environment)
    assert result.exit_code == 0, result.output
    return result.output


def waits(rated: RatedLibrary) -> list[tuple[str, str]]:
    listed = json.loads(maclip(rated, "status", "--json"))["waits"]
    return [(wait["resource"], wait["ended_by"]) for wait in listed]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2h", 7200), ("30m", 1800), ("1h30m", 5400), ("1d", 86_400), ("90s", 90), ("1D 2h", 93_600)],
)
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["2", "h", "0h", "-1h", "2h3", "tomorrow", "m30", "1e9s"])
def test_what_is_no_duration_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="30m, 2h or 1h30m"):
        parse_duration(text)


def test_a_pause_without_a_daemon_is_for_the_next_one(rated: RatedLibrary) -> None:
    assert "No daemon runs now; this holds for the next one." in maclip(rated, "pause")
    assert waits(rated) == [("pause", "person")]
    text = maclip(rated, "status")
    assert "paused     all work: You paused it. `maclip resume` goes on at once. (waits for you)" in text
    assert "The pause has ended." in maclip(rated, "resume")
    assert waits(rated) == []
    assert maclip(rated, "resume") == "Nothing was paused.\n"


def test_a_pause_for_a_time_says_until_when(rated: RatedLibrary) -> None:
    before = time.time()
    assert "Paused until " in maclip(rated, "pause", "2h")
    (wait,) = json.loads(maclip(rated, "status", "--json"))["waits"]
    assert before + 7200 <= wait["until"] <= time.time() + 7200
    assert "(goes on at 20" in maclip(rated, "status")


def test_the_order_counts_before_the_daemon_has_noticed_it(rated: RatedLibrary) -> None:
    with locked(data_dir(rated)):
        assert "No daemon" not in maclip(rated, "pause")
        assert waits(rated) == [("pause", "person")]
        stale = Wait.of(PAUSE, "You paused it.", since=NOW, until=None).as_json()
        with rated.library.writing() as session:
            put_note(session, "daemon", {"waits": [stale]}, NOW)
        assert waits(rated) == [("pause", "person")], "listed once"
        assert maclip(rated, "resume") == "The pause has ended.\n"
        assert waits(rated) == []


def test_resume_tells_of_quiet_hours(rated: RatedLibrary) -> None:
    hours = {"MACLIP_BACKGROUND__QUIET_HOURS": '["00:00-23:59", "23:59-00:00"]'}
    assert "Work goes on at " in maclip(rated, "resume", **hours)


def test_a_pause_needs_a_library(tmp_path: Path) -> None:
    result = CliRunner().invoke(assembled(), ["pause"], env={"MACLIP_DATA_DIR": os.fspath(tmp_path)})
    assert isinstance(result.exception, EnvironmentUnfit)
