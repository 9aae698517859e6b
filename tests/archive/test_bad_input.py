"""What is wrong before Ray starts: one sentence, the documented exit code, and nothing is touched."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.homes import Home, contents, make_photos


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("nowhere", "There is nothing at nowhere. Check the spelling."),
        ("empty", "empty names no photos. Name a folder or a list that does."),
        ("empty.txt", "empty.txt names no photos. Name a folder or a list that does."),
        (
            "no-table.parquet",
            "no-table.parquet is no Parquet table. A list of paths has another name than .parquet.",
        ),
        ("nonsense://host/photos", "nonsense://host/photos is no address that can be opened"),
    ],
)
def test_a_wrong_source_is_a_wrong_command(
    home: Home, source: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home.folder)
    (home.folder / "empty").mkdir()
    (home.folder / "empty.txt").write_text("\n\n")
    (home.folder / "no-table.parquet").write_text("no table")
    told = home.maclip("archive", source, "--out", "results", expect=2).stderr
    assert told.startswith(f"maclip: {expected}")
    assert told.count("\n") == 1


def test_a_folder_that_another_run_writes_into_is_left_alone(home: Home) -> None:
    make_photos(home.photos, 1)
    out = home.folder / "results"
    out.mkdir()
    note = {"run": "x", "host": "studio-2", "pid": 7, "at": time.time()}
    (out / "_running.json").write_text(json.dumps(note))
    before = contents(out)
    told = home.maclip("archive", home.photos, "--out", out, expect=3).stderr
    assert told == (
        f"maclip: Another run writes into {out} (process 7 on studio-2). Wait until it ends; after a crash "
        "its mark counts for a minute.\n"
    )
    assert contents(out) == before


def test_results_that_cannot_be_written_are_told_before_any_work(home: Home) -> None:
    make_photos(home.photos, 1)
    (home.folder / "file").write_text("a file, and no folder")
    told = home.maclip("archive", home.photos, "--out", home.folder / "file" / "results", expect=3).stderr
    assert told.startswith(f"maclip: {home.folder}/file/results")
    assert told.count("\n") == 1


def test_a_source_called_like_a_command_is_given_with_its_folder(home: Home, tmp_path: Path) -> None:
    told = home.maclip("archive", "./report", "--out", tmp_path / "out", expect=2).stderr
    assert "There is nothing at ./report" in told
