"""The report: a folder with the scores (CSV), the summary (JSON), a plot for each candidate, and one page."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from maclip_daemon.evaluation import plots
from maclip_daemon.evaluation.report_page import Disagreement, Section, page
from maclip_daemon.evaluation.runner import ScoreTable
from maclip_daemon.evaluation.summary import WHOLE, AgreementRow, Summary, as_json

SCORES_FILE = "scores.csv"
SUMMARY_FILE = "summary.json"
PAGE_FILE = "report.html"
CACHE_FILE = "scores.jsonl"
_DISAGREEMENTS_SHOWN = 10  # images whose score is farthest from opinion: they show what goes wrong


@dataclass(frozen=True)
class Circumstances:
    """How a report was made, for its page and its summary."""

    title: str
    source: str
    """The file or dataset of the opinions."""
    when: datetime
    version: str
    device: str
    precision: str
    upright: bool
    """True when images were turned by their EXIF orientation."""
    resamples: int
    seed: int

    def as_text(self) -> dict[str, str]:
        """Return labels and values, for the page and the JSON."""
        return {
            "opinions": self.source,
            "made": self.when.isoformat(timespec="seconds"),
            "program": f"maclip-daemon {self.version}",
            "encoder": f"{self.precision} on {self.device}",
            "orientation": "upright by EXIF" if self.upright else "as the pixels are stored",
            "bootstrap": f"{self.resamples} resamples, seed {self.seed}" if self.resamples else "none",
        }


def write(folder: Path, scores: ScoreTable, summary: Summary, circumstances: Circumstances) -> Path:
    """Write the report into a folder that exists; return the path of its page, which needs no other file.

    Plots of an earlier report in this folder are removed, unless they are written again.
    """
    rows = [row for row in summary.rows if row.subset == WHOLE]
    drawn = {_file_name(row.candidate.label) for row in rows if row.agreement.fit is not None}
    _remove_plots(folder, _plots_of_earlier_report(folder) - drawn)
    _write_scores(folder / SCORES_FILE, scores)
    content = circumstances.as_text() | as_json(summary)
    (folder / SUMMARY_FILE).write_text(
        json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", errors="surrogateescape"
    )
    path = folder / PAGE_FILE
    sections = [_section(folder, scores, row) for row in rows]
    text = page(circumstances.title, circumstances.as_text(), summary, sections)
    path.write_text(text, encoding="utf-8", errors="replace")
    return path


def _write_scores(path: Path, scores: ScoreTable) -> None:
    """Write a line for each image: path, subset, MOS, and each candidate's score, empty where it failed."""
    columns = [" | ".join(candidate.label) for candidate in scores.by_candidate]
    values = list(scores.by_candidate.values())
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["image", "subset", "mos", *columns])
        for number, image in enumerate(scores.images):
            row = [column[number] for column in values]
            shown = ["" if math.isnan(value) else f"{value:.9g}" for value in row]
            texts = [_as_text_cell(str(text)) for text in (image.path, image.subset)]
            writer.writerow([*texts, f"{image.mos:.9g}", *shown])


def _as_text_cell(text: str) -> str:
    """Return a cell that a spreadsheet does not compute: a file may be called `=HYPERLINK(…).jpg`."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _section(folder: Path, scores: ScoreTable, row: AgreementRow) -> Section:
    values = scores.by_candidate[row.candidate]
    finite = np.isfinite(values)
    opinions = np.array([image.mos for image in scores.images])
    title = " · ".join(row.candidate.label)
    if row.agreement.fit is None:
        return Section(title, None, ())
    figure = plots.draw(
        values[finite],
        opinions[finite],
        [image.subset for image, kept in zip(scores.images, finite, strict=True) if kept],
        row.agreement,
        title,
    )
    png, _ = plots.save(figure, folder / _file_name(row.candidate.label))
    return Section(title, png.read_bytes(), _disagreements(scores, row))


def _disagreements(scores: ScoreTable, row: AgreementRow) -> tuple[Disagreement, ...]:
    values, fit = scores.by_candidate[row.candidate], row.agreement.fit
    assert fit is not None
    opinions = np.array([image.mos for image in scores.images])
    expected = fit.predict(values)
    distance = np.where(np.isfinite(expected), np.abs(expected - opinions), -1.0)
    farthest = np.argsort(-distance)[:_DISAGREEMENTS_SHOWN]
    return tuple(
        Disagreement(
            scores.images[index].path.name, opinions[index], float(values[index]), float(expected[index])
        )
        for index in farthest
        if distance[index] >= 0
    )


def _plots_of_earlier_report(folder: Path) -> set[str]:
    """Return the names, without suffix, of the plots that belong to the summary in this folder."""
    try:
        earlier = json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8", errors="surrogateescape"))
        return {
            _file_name((row["metric"], row["model"], row["protocol"]))
            for row in earlier["agreement"]
            if row["subset"] == WHOLE
        }
    except (OSError, ValueError, LookupError, TypeError):
        return set()  # there is none, or another program wrote it


def _remove_plots(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        for suffix in plots.SUFFIXES:
            (folder / f"{name}{suffix}").unlink(missing_ok=True)


def _file_name(label: tuple[str, str, str]) -> str:
    """Return a plot's name without suffix, from metric, model and protocol."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(label)).strip("-")
