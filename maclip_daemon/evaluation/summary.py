"""The summary: agreement of every candidate with human opinion, as a whole, by subset, and by ablation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from maclip_daemon.evaluation import statistics
from maclip_daemon.evaluation.candidates import Candidate
from maclip_daemon.evaluation.runner import FailedImage, ScoreTable
from maclip_daemon.evaluation.statistics import MINIMUM_IMAGES, Agreement, Interval

WHOLE = "all"
_ROWS_NAMED = 4  # in a sentence, so that it stays readable with many subsets


@dataclass(frozen=True)
class AgreementRow:
    """One candidate on one part of the images."""

    candidate: Candidate
    subset: str
    """`all`, or the name of a subset."""
    agreement: Agreement


@dataclass(frozen=True)
class AblationRow:
    """One ablation beside the published MA-CLIP on the same images; the first row is MA-CLIP itself."""

    candidate: Candidate
    agreement: Agreement
    srcc_difference: float
    """SRCC of the ablation minus that of MA-CLIP."""
    difference_interval: Interval | None
    """Interval of the difference, from a paired bootstrap; one that excludes 0 is more than chance."""


@dataclass(frozen=True)
class Summary:
    """All figures of an evaluation."""

    rows: tuple[AgreementRow, ...]
    ablations: tuple[AblationRow, ...]
    failures: tuple[FailedImage, ...]
    images: int


def summarise(scores: ScoreTable, *, resamples: int, seed: int) -> Summary:
    """Return every candidate's agreement; subsets with fewer than ten scored images are left out."""
    opinions = np.array([image.mos for image in scores.images])
    subsets = np.array([image.subset for image in scores.images])
    rows = [
        AgreementRow(candidate, subset, _agreement(values[chosen], opinions[chosen], resamples, seed))
        for candidate, values in scores.by_candidate.items()
        if not candidate.judgement.ablation
        for subset, chosen in _parts(subsets)
        if subset == WHOLE or np.isfinite(values[chosen]).sum() >= MINIMUM_IMAGES
    ]
    return Summary(
        tuple(rows), tuple(_ablations(scores, opinions, resamples, seed)), scores.failures, len(scores.images)
    )


def as_json(summary: Summary) -> dict[str, Any]:
    """Return the summary as a plain object for JSON; undefined figures are null."""
    return {
        "images": summary.images,
        "failures": [{"image": str(failure.path), "reason": failure.reason} for failure in summary.failures],
        "agreement": [
            _labels(row.candidate) | {"subset": row.subset} | _figures(row.agreement) for row in summary.rows
        ],
        "ablations": [
            _labels(row.candidate)
            | _figures(row.agreement)
            | {
                "srcc_difference": _plain(row.srcc_difference),
                "srcc_difference_interval": _bounds(row.difference_interval),
            }
            for row in summary.ablations
        ],
    }


def warnings(rows: Sequence[AgreementRow]) -> list[str]:
    """Return sentences about figures to be read with care, each with its rows."""
    found: dict[str, list[str]] = {}
    for row in rows:
        fit = row.agreement.fit
        if fit is None:
            sentence = "The scores are constant or missing, so nothing can be correlated"
        elif not fit.converged:
            sentence = "The logistic fit failed; PLCC and RMSE are those of a straight line"
        elif not fit.monotonic:
            sentence = "The fitted curve rises and falls, which flatters PLCC and RMSE"
        else:
            continue
        found.setdefault(sentence, []).append(" · ".join((*row.candidate.label, row.subset)))
    return [f"{sentence}: {_few(names)}." for sentence, names in found.items()]


def _few(names: Sequence[str]) -> str:
    more = len(names) - _ROWS_NAMED
    return "; ".join(names[:_ROWS_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _parts(subsets: npt.NDArray[np.str_]) -> list[tuple[str, npt.NDArray[np.bool_]]]:
    names = sorted({str(name) for name in subsets} - {""})
    parts = [(WHOLE, np.ones(len(subsets), dtype=bool))]
    return parts + [(name, subsets == name) for name in names if len(names) > 1]


def _agreement(
    scores: npt.NDArray[np.float64], opinions: npt.NDArray[np.float64], resamples: int, seed: int
) -> Agreement:
    finite = np.isfinite(scores)
    return statistics.agreement(scores[finite], opinions[finite], resamples=resamples, seed=seed)


def _ablations(
    scores: ScoreTable, opinions: npt.NDArray[np.float64], resamples: int, seed: int
) -> list[AblationRow]:
    published = {
        (candidate.model, candidate.protocol): (candidate, values)
        for candidate, values in scores.by_candidate.items()
        if candidate.judgement.name == "maclip"
    }
    rows: list[AblationRow] = []
    for candidate, values in scores.by_candidate.items():
        if not candidate.judgement.ablation:
            continue
        itself, reference = published[candidate.model, candidate.protocol]
        if not any(row.candidate == itself for row in rows):
            rows.append(AblationRow(itself, _agreement(reference, opinions, 0, seed), 0.0, None))
        rows.append(_compared(candidate, values, reference, opinions, resamples, seed))
    return rows


def _compared(
    candidate: Candidate,
    values: npt.NDArray[np.float64],
    reference: npt.NDArray[np.float64],
    opinions: npt.NDArray[np.float64],
    resamples: int,
    seed: int,
) -> AblationRow:
    both = np.isfinite(values) & np.isfinite(reference)
    ours, theirs, opinion = values[both], reference[both], opinions[both]
    measured = statistics.agreement(ours, opinion)
    interval = None
    if resamples and not math.isnan(measured.srcc):
        drawn = [
            statistics.srcc_resamples(column, opinion, resamples=resamples, seed=seed)
            for column in (ours, theirs)
        ]
        interval = statistics.interval(drawn[0] - drawn[1])
    return AblationRow(candidate, measured, measured.srcc - statistics.srcc(theirs, opinion), interval)


def _labels(candidate: Candidate) -> dict[str, str]:
    return dict(zip(("metric", "model", "protocol"), candidate.label, strict=True))


def _figures(agreement: Agreement) -> dict[str, Any]:
    figures: dict[str, Any] = {"images": agreement.images}
    for name in ("srcc", "krcc", "plcc", "rmse"):
        figures[name] = _plain(getattr(agreement, name))
        figures[f"{name}_interval"] = _bounds(getattr(agreement, f"{name}_interval"))
    figures["srcc_fitted"] = _plain(agreement.srcc_fitted)
    fit = agreement.fit
    figures["fit"] = (
        None
        if fit is None
        else {"parameters": fit.parameters, "converged": fit.converged, "monotonic": fit.monotonic}
    )
    return figures


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


def _bounds(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]
