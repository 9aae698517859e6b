"""A generation of results for each model, and names of parts that a repeated task replaces."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem

from maclip_daemon.archive.generations import NOTE, generation_of
from maclip_daemon.archive.rows import FAILED, SCORED, table_of
from maclip_daemon.archive.stages.result_parts import write_parts
from maclip_daemon.archive.stages.run_tally import RunTally
from maclip_daemon.archive.storage import Pauses, place_of
from maclip_daemon.iqa.photo_score import ScoringConfig

PAUSES = Pauses(1, 0.01)
ONE, OTHER = ScoringConfig("maclip", "builtin@1", "spaq448"), ScoringConfig("maclip", "builtin@2", "spaq448")


def test_each_model_has_a_generation_of_its_own(tmp_path: Path) -> None:
    place = place_of(str(tmp_path))
    assert generation_of(place, ONE, PAUSES).number == 1
    assert generation_of(place, OTHER, PAUSES).number == 2
    assert generation_of(place, ONE, PAUSES).number == 1


@pytest.mark.parametrize("number", range(1, 5))
def test_storage_that_fails_once_is_asked_again_and_no_generation_is_taken_for_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    place = place_of(str(tmp_path))
    generation_of(place, ONE, PAUSES)
    part = tmp_path / "generation=1" / "scored-1.parquet"
    part.write_bytes(b"rows")
    note = (tmp_path / "generation=1" / NOTE).read_bytes()
    asked = itertools.count(1)

    def failing_once(work: Callable[..., object]) -> Callable[..., object]:
        def ask(*arguments: object, **options: object) -> object:
            if next(asked) == number:
                raise OSError(errno.EIO, "Input/output error")
            return work(*arguments, **options)

        return ask

    for name in ("info", "ls"):
        monkeypatch.setattr(LocalFileSystem, name, failing_once(getattr(LocalFileSystem, name)))
    assert generation_of(place, ONE, Pauses(3, 0.01)).parts_of(SCORED) == (str(part),)
    monkeypatch.undo()
    for name in ("info", "ls"):
        monkeypatch.setattr(LocalFileSystem, name, failing_once(getattr(LocalFileSystem, name)))
    asked = itertools.count(1)
    assert generation_of(place, OTHER, Pauses(3, 0.01)).number == 2
    assert (tmp_path / "generation=1" / NOTE).read_bytes() == note


def test_a_generation_without_its_note_is_known_by_its_rows(tmp_path: Path) -> None:
    (tmp_path / "generation=7").mkdir()
    row = {"address": "/a.jpg", "metric": "maclip", "model": "builtin@2", "protocol": "spaq448"}
    pq.write_table(table_of([row]), tmp_path / "generation=7" / "scored-1.parquet")
    found = generation_of(place_of(str(tmp_path)), OTHER, PAUSES)
    assert found.number == 7
    assert found.parts_of(SCORED) == (str(tmp_path / "generation=7" / "scored-1.parquet"),)
    assert found.parts_of(FAILED) == ()
    assert generation_of(place_of(str(tmp_path)), ONE, PAUSES).number == 8


def test_a_task_that_is_repeated_replaces_its_own_files(tmp_path: Path) -> None:
    job = SimpleNamespace(folder=str(tmp_path), own_pauses=PAUSES, tally=None)
    rows = [
        {"address": f"/{number}.jpg", "run": "r", "state": FAILED if number == 2 else SCORED}
        for number in range(3)
    ]
    for score in (0.1, 0.2):
        counts = write_parts(table_of([row | {"score": score} for row in rows]), job)  # type: ignore[arg-type]
        assert counts.to_pylist() == [{SCORED: 2, FAILED: 1}]
    parts = {path.name.partition("-")[0]: pq.read_table(path).to_pylist() for path in tmp_path.iterdir()}
    assert [row["score"] for row in parts["scored"]] == [0.2, 0.2]
    assert [row["address"] for row in parts["failed"]] == ["/2.jpg"]


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_photo_over_which_workers_die_twice_is_left_out(deaths: int) -> None:
    tally = RunTally()
    for _ in range(deaths):
        tally.begin("chunk")
        tally.working("chunk", 0)
        tally.resting("chunk")
        tally.working("chunk", 3)
    assert tally.begin("chunk").deadly == ([3] if deaths == 2 else [])
    assert tally.counts().restarts == deaths


def test_a_worker_that_dies_while_it_rests_blames_no_photo() -> None:
    tally = RunTally()
    for _ in range(3):
        assert tally.begin("chunk").deadly == []
        tally.working("chunk", 3)
        tally.resting("chunk")
    tally.add(5, ["missing"])
    assert (tally.counts().done, tally.counts().failed, tally.counts().restarts) == (6, 1, 2)
