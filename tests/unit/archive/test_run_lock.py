"""One run at a time writes into a results folder."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from maclip_daemon.archive import run_lock
from maclip_daemon.archive.run_lock import BEAT_S, NOTE, locked
from maclip_daemon.archive.storage import Pauses, place_of
from maclip_daemon.errors import AlreadyRunning

PAUSES = Pauses(1, 0.01)
ELSEWHERE = {"run": "other", "host": "another-machine", "pid": 1, "at": 1000.0}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lock.time, "sleep", lambda _seconds: None)


def test_a_run_shows_that_it_lives_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, passed = [1000.0], [50.0]
    monkeypatch.setattr(run_lock.time, "monotonic", lambda: passed[0])
    with locked(place_of(str(tmp_path)), "mine", PAUSES, lambda: now[0]) as beat:
        assert json.loads((tmp_path / NOTE).read_bytes())["at"] == 1000.0
        now[0] -= 3600  # the clock is set back
        passed[0] += BEAT_S - 1
        beat.now()
        assert json.loads((tmp_path / NOTE).read_bytes())["at"] == 1000.0
        passed[0] += 2
        beat.now()
        assert json.loads((tmp_path / NOTE).read_bytes())["at"] == now[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("note", "age_s"),
    [(ELSEWHERE, 59), (ELSEWHERE | {"host": socket.gethostname(), "pid": os.getpid()}, 59)],
)
def test_a_second_run_is_refused_while_the_first_lives(
    tmp_path: Path, note: dict[str, object], age_s: float
) -> None:
    (tmp_path / NOTE).write_text(json.dumps(note))
    with (
        pytest.raises(AlreadyRunning, match="Another run writes into"),
        locked(place_of(str(tmp_path)), "mine", PAUSES, lambda: 1000.0 + age_s),
    ):
        pytest.fail("it began")
    assert json.loads((tmp_path / NOTE).read_bytes()) == note


@pytest.mark.parametrize(
    ("content", "age_s"),
    [
        (json.dumps(ELSEWHERE), 61),
        (json.dumps(ELSEWHERE), -86_400),  # a day ahead, and it does not change
        (json.dumps(ELSEWHERE | {"host": socket.gethostname(), "pid": 2**22 + 1}), 1),
        ('{"run": "cut of', 1),
    ],
)
def test_the_mark_of_a_dead_run_does_not_count(tmp_path: Path, content: str, age_s: float) -> None:
    (tmp_path / NOTE).write_text(content)
    with locked(place_of(str(tmp_path)), "mine", PAUSES, lambda: 1000.0 + age_s):
        assert json.loads((tmp_path / NOTE).read_bytes())["run"] == "mine"


@pytest.mark.parametrize("age_s", [3600, -3600])
def test_a_run_that_lives_on_a_machine_whose_clock_is_another_one_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age_s: float
) -> None:
    def sleep(_seconds: float) -> None:
        (tmp_path / NOTE).write_text(json.dumps(ELSEWHERE | {"at": 1015.0}))

    (tmp_path / NOTE).write_text(json.dumps(ELSEWHERE))
    monkeypatch.setattr(run_lock.time, "sleep", sleep)
    with (
        pytest.raises(AlreadyRunning, match="Another run writes into"),
        locked(place_of(str(tmp_path)), "mine", PAUSES, lambda: 1000.0 + age_s),
    ):
        pytest.fail("it began")
