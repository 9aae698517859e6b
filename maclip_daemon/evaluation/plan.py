"""An evaluation from beginning to end: check its plan, score, measure, report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from maclip_daemon.errors import EnvironmentUnfit
from maclip_daemon.evaluation import plots, report
from maclip_daemon.evaluation.candidates import Candidate, Judgement, ablations, judgements
from maclip_daemon.evaluation.rated_images import RatedImage
from maclip_daemon.evaluation.runner import Decode, run
from maclip_daemon.evaluation.score_cache import ScoreCache
from maclip_daemon.evaluation.summary import Summary, summarise
from maclip_daemon.iqa import metrics, protocols
from maclip_daemon.iqa.models import catalogue
from maclip_daemon.iqa.models.catalogue import ResolvedModel

AUTO = "auto"


@dataclass(frozen=True)
class Plan:
    """Images, candidates and conditions of an evaluation."""

    images: Sequence[RatedImage]
    metrics: Sequence[str] = ("maclip",)
    models: Sequence[str] = (AUTO,)
    protocols: Sequence[str] = (AUTO,)
    """`auto` is each model's own protocol."""
    with_ablations: bool = False
    resamples: int = 1000
    seed: int = 0
    device: str = AUTO
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    upright: bool = False
    """True when `decode` turns images by their EXIF orientation; only scores of the same kind are reused."""


@dataclass(frozen=True)
class Outcome:
    """The result of an evaluation."""

    summary: Summary
    circumstances: report.Circumstances
    page: Path | None
    """The page of the report; None without one."""
    computed: int
    """Scores that this run computed; the others came from the report folder."""


def carry_out(
    plan: Plan,
    decode: Decode,
    data_dir: Path,
    *,
    title: str,
    source: str,
    version: str,
    now: Callable[[], datetime],
    folder: Path | None = None,
    on_progress: Callable[[int], None] = lambda _done: None,
) -> Outcome:
    """Check the plan, then score, measure and report; return the result.

    `folder`: of the report; an interrupted run resumes there. None: no report. Raises `UsageError`,
    `ModelUnavailable` and `EnvironmentUnfit` before the first image is scored.
    """
    # Ablations are compared with `maclip`.
    names = dict.fromkeys([*(["maclip"] if plan.with_ablations else []), *plan.metrics])
    chosen = judgements([metrics.parse(name) for name in names], ablations() if plan.with_ablations else ())
    resolved = {model.name: model for model in (catalogue.resolve(name, data_dir) for name in plan.models)}
    candidates = _candidates(plan, resolved.values(), chosen)
    if folder is not None:
        plots.require_matplotlib()
        _make(folder)
    from maclip_daemon.evaluation.feature_model import load_feature_model  # these need torch
    from maclip_daemon.scoring.device import be_exact, choose_device

    device = choose_device(plan.device)
    be_exact(device)
    loaded = {
        name: load_feature_model(model, chosen, data_dir, device=device, precision=plan.precision)
        for name, model in resolved.items()
    }
    conditions = f"{plan.precision}, {'upright' if plan.upright else 'as stored'}"
    file = None if folder is None else folder / report.CACHE_FILE
    with ScoreCache(file, conditions) as cache:
        scores = run(plan.images, candidates, loaded, decode, cache, on_progress)
    summary = summarise(scores, resamples=plan.resamples, seed=plan.seed)
    circumstances = report.Circumstances(
        title, source, now(), version, str(device), plan.precision, plan.upright, plan.resamples, plan.seed
    )
    page = None if folder is None else report.write(folder, scores, summary, circumstances)
    return Outcome(summary, circumstances, page, scores.computed)


def _candidates(plan: Plan, models: Iterable[ResolvedModel], chosen: Sequence[Judgement]) -> list[Candidate]:
    return [
        Candidate(judgement, model.name, protocols.parse(name))
        for model in models
        for name in dict.fromkeys(model.protocol if name == AUTO else name for name in plan.protocols)
        for judgement in chosen
    ]


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentUnfit(
            f"{folder} cannot be created: {error.strerror}. Choose another folder with --report."
        ) from None
