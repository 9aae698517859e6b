"""The report's folder, over several reports."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from maclip_daemon.evaluation import report
from maclip_daemon.evaluation.candidates import Candidate, judgements
from maclip_daemon.evaluation.rated_images import RatedImage
from maclip_daemon.evaluation.runner import ScoreTable
from maclip_daemon.evaluation.summary import summarise
from maclip_daemon.iqa import metrics, protocols

COUNT = 12


def write_report(folder: Path, *names: str, constant: bool = False) -> None:
    generator = np.random.default_rng(1)
    images = tuple(RatedImage(Path(f"{number}.jpg"), float(number)) for number in range(COUNT))
    columns = {
        Candidate(judgement, "builtin@1", protocols.parse("native")): np.zeros(COUNT)
        if constant
        else np.arange(COUNT) + generator.normal(0, 1, COUNT)
        for judgement in judgements([metrics.parse(name) for name in names])
    }
    scores = ScoreTable(images, columns, (), 0)
    when = datetime(2026, 1, 1, tzinfo=UTC)
    circumstances = report.Circumstances("title", "mos.csv", when, "1", "cpu", "fp32", False, 0, 0)
    report.write(folder, scores, summarise(scores, resamples=0, seed=0), circumstances)


def plots(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix in (".png", ".svg"))


def test_plots_of_an_earlier_report_go_and_nothing_else(tmp_path: Path) -> None:
    for name in ("mine.png", "magnitude-builtin-1-spaq448.png"):
        (tmp_path / name).write_bytes(b"somebody's own")
    write_report(tmp_path, "maclip", "clipiqa")
    assert len(plots(tmp_path)) == 6
    write_report(tmp_path, "maclip")
    assert plots(tmp_path) == [
        "maclip-builtin-1-native.png",
        "maclip-builtin-1-native.svg",
        "magnitude-builtin-1-spaq448.png",
        "mine.png",
    ]
    write_report(tmp_path, "maclip", constant=True)  # nothing that could be drawn
    assert plots(tmp_path) == ["magnitude-builtin-1-spaq448.png", "mine.png"]


def test_a_summary_of_another_program_removes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    for foreign in (
        "{",
        "[]",
        "7",
        json.dumps({"agreement": [{"metric": "a"}]}),
        json.dumps({"agreement": 1}),
    ):
        (tmp_path / report.SUMMARY_FILE).write_text(foreign)
        write_report(tmp_path, "maclip", constant=True)
        assert plots(tmp_path) == ["a.png"]


def test_a_spreadsheet_computes_no_name_of_a_file(tmp_path: Path) -> None:
    names = ["=HYPERLINK(1).jpg", "+1.jpg", "-1.jpg", "@SUM.jpg", "a=1.jpg"]
    images = tuple(RatedImage(Path(name), 1.0 + number) for number, name in enumerate(names))
    [judgement] = judgements([metrics.parse("maclip")])[:1]
    column = {Candidate(judgement, "builtin@1", protocols.parse("native")): np.arange(5.0)}
    scores = ScoreTable(images, column, (), 0)
    circumstances = report.Circumstances(
        "title", "mos.csv", datetime(2026, 1, 1, tzinfo=UTC), "1", "cpu", "fp32", False, 0, 0
    )
    report.write(tmp_path, scores, summarise(scores, resamples=0, seed=0), circumstances)
    with (tmp_path / report.SCORES_FILE).open(newline="", encoding="utf-8") as stream:
        cells = [row[0] for row in csv.reader(stream)][1:]
    assert cells == ["'=HYPERLINK(1).jpg", "'+1.jpg", "'-1.jpg", "'@SUM.jpg", "a=1.jpg"]
