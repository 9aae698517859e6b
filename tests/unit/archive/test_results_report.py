"""The report: how the scores lie, the worst and best, failures by kind, folders; as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import s3fs
from object_storage import ObjectStorage
from small_results import failed, scored, write
from typer.testing import CliRunner

from maclip_daemon.archive.results_folder import open_results
from maclip_daemon.archive.results_report import report
from maclip_daemon.cli.program import assembled
from maclip_daemon.errors import ChildTimedOut, EnvironmentUnfit, Poison, UsageError


def fill(folder: Path) -> Path:
    rows = [scored(f"/p/a/{number:03}.jpg", number / 100) for number in range(101)]
    rows += [scored("/p/b/low.jpg", -0.5), failed("/p/b/x.jpg"), failed("/p/b/y.jpg")]
    rows += [failed("/p/c/slow\n\x1b[31m.jpg", ChildTimedOut("It took longer than 60 s."))]
    write(folder, rows)
    return folder


def test_counts_percentiles_and_bars_are_those_of_the_rows(tmp_path: Path) -> None:
    found = report(open_results(str(fill(tmp_path))), number=2)
    assert (found.photos, found.scored, found.failed) == (105, 102, 3)
    assert (found.percentiles["0"], found.percentiles["100"]) == (-0.5, 1.0)
    assert found.percentiles["50"] == pytest.approx(0.495)
    assert len(found.origins) == 1, "a photo that failed has no precision, and tells nothing new"
    assert len(found.histogram) == 20
    assert sum(bar.photos for bar in found.histogram) == 102
    assert (found.histogram[0].low, found.histogram[-1].high) == (-0.5, pytest.approx(1.0))
    assert [row["address"] for row in found.worst] == ["/p/b/low.jpg", "/p/a/000.jpg"]
    assert [row["address"] for row in found.best] == ["/p/a/100.jpg", "/p/a/099.jpg"]


def test_failures_are_counted_by_kind_with_one_photo_each(tmp_path: Path) -> None:
    first, second = report(open_results(str(fill(tmp_path)))).failures
    assert (first["kind"], first["photos"], first["example"]) == (Poison.failure, 2, "/p/b/x.jpg")
    assert first["reason"] == "It is no photo."
    assert (second["kind"], second["photos"]) == (ChildTimedOut.failure, 1)


def test_the_weakest_folder_is_first_and_one_without_any_score_last(tmp_path: Path) -> None:
    folders = report(open_results(str(fill(tmp_path)))).folders
    assert [(row["folder"], row["photos"], row["failed"]) for row in folders] == [
        ("/p/b", 3, 2),
        ("/p/a", 101, 0),
        ("/p/c", 1, 1),
    ]


def test_equal_scores_are_one_bar_and_failures_alone_none(tmp_path: Path) -> None:
    write(tmp_path, [scored("/a.jpg", 0.25), scored("/b.jpg", 0.25)], generation=1)
    write(tmp_path, [failed("/a.jpg")], generation=2)
    folder = open_results(str(tmp_path))
    (bar,) = report(folder, generation=1).histogram
    assert (bar.low, bar.high, bar.photos) == (0.25, 0.25, 2)
    newest = report(folder)
    assert (newest.generation, newest.generations, newest.histogram, newest.percentiles) == (
        2,
        (1, 2),
        (),
        {},
    )


def test_text_is_one_line_for_each_photo_whatever_its_name(tmp_path: Path) -> None:
    answer = CliRunner().invoke(assembled(), ["archive", "report", str(fill(tmp_path))])
    assert answer.exit_code == 0
    assert "105 photos: 102 scored, 3 failed (generation 1)" in answer.stdout
    assert "builtin@2 · maclip · detail-8, bf16" in answer.stdout
    assert r"/p/c/slow\n\x1b[31m.jpg" in answer.stdout
    assert "\x1b" not in answer.stdout
    assert "█" in answer.stdout


def test_json_is_one_document(tmp_path: Path) -> None:
    answer = CliRunner().invoke(assembled(), ["archive", "report", str(fill(tmp_path)), "--json", "-n", "1"])
    found = json.loads(answer.stdout)
    assert found["origins"][0]["model"] == "builtin@2"
    assert found["failures"][1]["example"] == "/p/c/slow\n\x1b[31m.jpg"
    assert found["worst"] == [{"address": "/p/b/low.jpg", "score": -0.5}]


def test_results_in_object_storage_are_read_in_place(tmp_path: Path, object_storage: ObjectStorage) -> None:
    out = f"s3://{object_storage.bucket}/results"
    s3fs.S3FileSystem().put(str(fill(tmp_path)), out, recursive=True)
    assert report(open_results(out)).photos == 105


def test_object_storage_that_is_not_there_is_one_sentence(object_storage: ObjectStorage) -> None:
    with pytest.raises(UsageError, match="s3://studio/nothing holds no results yet"):
        open_results("s3://studio/nothing")
    with pytest.raises(UsageError, match="There is nothing at s3://no-such-bucket/x"):
        open_results("s3://no-such-bucket/x")


def test_a_server_that_does_not_answer_is_one_sentence(
    object_storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(EnvironmentUnfit, match="cannot be reached now"):
        open_results("s3://studio/results")


def test_a_missing_extra_says_what_to_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from maclip_daemon.archive import extra

    monkeypatch.setattr(extra, "_PACKAGES", ("duckdb", "no_such_package"))
    with pytest.raises(EnvironmentUnfit, match=r"pip install 'maclip-daemon\[archive\]'"):
        extra.require_archive_extra()
