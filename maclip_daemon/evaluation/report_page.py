"""The report page: one HTML file with its style and pictures inside; no network, no script."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from maclip_daemon.evaluation.statistics import Agreement, Interval
from maclip_daemon.evaluation.summary import WHOLE, AblationRow, AgreementRow, Summary, warnings

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2127; --soft: #5d6672; --line: #d9dde3; --paper: #fff;
        --shade: #f5f6f8; --best: #e3f1e6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #9aa3ae; --line: #3a4048;
        --paper: #16191d; --shade: #20242a; --best: #1f3a27; } figure img { filter: brightness(.92); } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
       max-width: 62rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.6rem; margin: 0 0 .4rem; } h2 { font-size: 1.2rem; margin: 2.6rem 0 .7rem; }
h3 { font-size: 1rem; margin: 2rem 0 .6rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; color: var(--soft); margin: 0; }
dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .32rem .8rem .32rem 0; text-align: left; border-bottom: 1px solid var(--line);
         vertical-align: top; }
th { font-weight: 600; border-bottom-width: 2px; white-space: nowrap; }
td:first-child { white-space: nowrap; }
td.number, th.number { text-align: right; padding-left: .8rem; white-space: nowrap; }
td small { color: var(--soft); display: block; font-size: .78rem; }
tr.best td { background: var(--best); }
figure { margin: 0 0 1rem; } figure img { max-width: 100%; height: auto; border-radius: 4px; }
.note, p.soft { color: var(--soft); } ul.note { padding-left: 1.1rem; }
details { margin: .5rem 0 1rem; } summary { cursor: pointer; color: var(--soft); }
"""


@dataclass(frozen=True)
class Disagreement:
    """An image whose score is far from human opinion."""

    name: str
    opinion: float
    score: float
    expected: float
    """Opinion predicted from the score by the fitted curve."""


@dataclass(frozen=True)
class Section:
    """One candidate's part of the page."""

    title: str
    plot: bytes | None
    """PNG; None for constant scores."""
    disagreements: tuple[Disagreement, ...]


def page(title: str, facts: Mapping[str, str], summary: Summary, sections: Sequence[Section]) -> str:
    """Return the page as HTML. `facts`: labels and values for its head."""
    whole = [row for row in summary.rows if row.subset == WHOLE]
    parts = [row for row in summary.rows if row.subset != WHOLE]
    facts = {"images": f"{summary.images} ({len(summary.failures)} failed)", **facts}
    body = [
        f"<h1>{escape(title)}</h1>",
        "<dl>" + "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in facts.items()),
        "</dl><h2>Agreement with human opinion</h2>",
        _agreement_table(whole, with_subset=False),
        _list(warnings(whole)),
    ]
    if parts:
        body += ["<h2>By subset</h2>", _agreement_table(parts, with_subset=True), _list(warnings(parts))]
    if summary.ablations:
        body += ["<h2>Ablations of MA-CLIP</h2>", _ablation_table(summary.ablations)]
    body += ["<h2>Scores and opinions</h2>", *(_section(section) for section in sections)]
    if summary.failures:
        failures = [(failure.path.name, failure.reason) for failure in summary.failures]
        body += ["<h2>Images that failed</h2>", _table(("image", "reason"), failures)]
    body += ["<h2>How to read this</h2>", _METHOD]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


_METHOD = """<p class="soft">SRCC (Spearman) and KRCC (Kendall τ-b) compare the order of the scores with the
order of the opinions. "SRCC, fitted" is taken after the fit, as MA-CLIP's code does.
PLCC (Pearson) and RMSE are taken after the five-parameter logistic of Sheikh, Sabir
and Bovik (2006) has mapped scores to the scale of the opinions, which is also the scale of RMSE. The row
with the highest SRCC is marked. Small figures under a number are its 95 % bootstrap interval over the
images; the fitted curve is held. For an ablation the interval belongs to the difference in SRCC to MA-CLIP
on the same resamples: one that holds 0 is no more than chance.</p>"""


def _agreement_table(rows: Sequence[AgreementRow], *, with_subset: bool) -> str:
    heads = ["metric", "model", "protocol", *(["subset"] if with_subset else [])]
    best = {
        max(
            (row for row in rows if row.subset == subset),
            key=lambda row: -math.inf if math.isnan(row.agreement.srcc) else row.agreement.srcc,
        ).candidate
        for subset in {row.subset for row in rows}
        if not with_subset and len(rows) > 1
    }
    lines = []
    for row in rows:
        texts = [*row.candidate.label, *([row.subset] if with_subset else [])]
        cells = "".join(f"<td>{escape(text)}</td>" for text in texts)
        figures = _figures(row.agreement)
        marked = ' class="best"' if row.candidate in best else ""
        lines.append(f"<tr{marked}>{cells}{_number(str(row.agreement.images))}{figures}</tr>")
    return _rows(heads, ("N", "SRCC", "SRCC, fitted", "KRCC", "PLCC", "RMSE"), lines)


def _ablation_table(rows: Sequence[AblationRow]) -> str:
    lines = [
        "<tr>"
        + "".join(f"<td>{escape(text)}</td>" for text in row.candidate.label)
        + _number(_shown(row.agreement.srcc))
        + _number(_shown(row.srcc_difference, signed=True), row.difference_interval, signed=True)
        + _number(_shown(row.agreement.plcc))
        + "</tr>"
        for row in rows
    ]
    return _rows(("variant", "model", "protocol"), ("SRCC", "difference", "PLCC"), lines)


def _section(section: Section) -> str:
    if section.plot is None:
        return (
            f"<h3>{escape(section.title)}</h3><p class='soft'>Nothing to plot: the scores are constant.</p>"
        )
    picture = base64.b64encode(section.plot).decode("ascii")
    rows = (
        (item.name, f"{item.opinion:.3g}", f"{item.expected:.3g}", f"{item.score:.4g}")
        for item in section.disagreements
    )
    return (
        f"<h3>{escape(section.title)}</h3><figure><img alt='scatter plot of {escape(section.title)}' "
        f"src='data:image/png;base64,{picture}'></figure><details><summary>Farthest from human opinion"
        f"</summary>{_table(('image', 'MOS', 'expected', 'score'), rows)}</details>"
    )


def _figures(agreement: Agreement) -> str:
    return "".join(
        _number(_shown(getattr(agreement, name)), getattr(agreement, f"{name}_interval", None))
        for name in ("srcc", "srcc_fitted", "krcc", "plcc", "rmse")
    )


def _number(text: str, interval: Interval | None = None, *, signed: bool = False) -> str:
    bounds = ""
    if interval is not None:
        low, high = (_shown(value, signed=signed) for value in (interval.low, interval.high))
        bounds = f"<small>{low} … {high}</small>"
    return f'<td class="number">{text}{bounds}</td>'


def _shown(value: float, *, signed: bool = False) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:+.4f}" if signed else f"{value:.4f}"


def _rows(heads: Sequence[str], numbers: Sequence[str], lines: Sequence[str]) -> str:
    titles = "".join(f"<th>{head}</th>" for head in heads)
    titles += "".join(f'<th class="number">{number}</th>' for number in numbers)
    return f'<div class="wide"><table><tr>{titles}</tr>{"".join(lines)}</table></div>'


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    return _rows(heads, (), lines)


def _list(sentences: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f'<ul class="note">{items}</ul>' if items else ""
