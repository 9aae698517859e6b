"""The tables of `maclip eval`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from maclip_daemon.cli.printing import output
from maclip_daemon.files.paths import printable

if TYPE_CHECKING:
    from maclip_daemon.evaluation.plan import Outcome
    from maclip_daemon.evaluation.statistics import Interval
    from maclip_daemon.evaluation.summary import AblationRow, AgreementRow

_MOST_SUBSET_ROWS = 24  # more would hide the totals; the report has all
_PLACE = {"model": "left", "protocol": "left"}
_FIGURES = {
    "N": "right",
    "SRCC": "right",
    "SRCC, fitted": "right",
    "KRCC": "right",
    "PLCC": "right",
    "RMSE": "right",
}


def print_outcome(outcome: Outcome, *, as_json: bool) -> None:
    """Print an evaluation as tables or one JSON object; notes and failures go to standard error."""
    from maclip_daemon.evaluation.summary import WHOLE, warnings
    from maclip_daemon.evaluation.summary import as_json as summary_as_json

    summary = outcome.summary
    if as_json:
        output.print_json(outcome.circumstances.as_text() | summary_as_json(summary))
    else:
        whole = [row for row in summary.rows if row.subset == WHOLE]
        parts = [row for row in summary.rows if row.subset != WHOLE]
        shown = whole if len(parts) > _MOST_SUBSET_ROWS else summary.rows
        _print_agreement(shown)
        if len(shown) < len(summary.rows):
            output.say(f"{len(parts)} rows for subsets are in the report and in the output of --json.")
        if summary.ablations:
            output.say()
            _print_ablations(summary.ablations)
        for sentence in warnings(whole):
            output.say(f"Note: {sentence}", error=True)
    for failure in summary.failures:
        output.say(f"failed: {printable(str(failure.path))}: {failure.reason}", error=True)
    if outcome.page is not None:
        output.say(f"The report is {printable(str(outcome.page))}", error=True)


def _print_agreement(rows: Sequence[AgreementRow]) -> None:
    output.print_table(
        "Agreement with human opinion",
        {"metric": "left", **_PLACE, "subset": "left", **_FIGURES},
        [
            (
                *row.candidate.label,
                row.subset,
                row.agreement.images,
                _figure(row.agreement.srcc, row.agreement.srcc_interval),
                _figure(row.agreement.srcc_fitted),
                _figure(row.agreement.krcc),
                _figure(row.agreement.plcc, row.agreement.plcc_interval),
                _figure(row.agreement.rmse),
            )
            for row in rows
        ],
    )


def _print_ablations(rows: Sequence[AblationRow]) -> None:
    output.print_table(
        "Ablations of MA-CLIP",
        {"variant": "left", **_PLACE, "SRCC": "right", "difference": "right", "PLCC": "right"},
        [
            (
                *row.candidate.label,
                _figure(row.agreement.srcc),
                _figure(row.srcc_difference, row.difference_interval, sign="+"),
                _figure(row.agreement.plcc),
            )
            for row in rows
        ],
    )


def _figure(value: float, interval: Interval | None = None, sign: str = "") -> str:
    if math.isnan(value):
        return "–"
    bounds = "" if interval is None else f" [{interval.low:{sign}.3f}, {interval.high:{sign}.3f}]"
    return f"{value:{sign}.4f}{bounds}"
