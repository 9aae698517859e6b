"""The metrics: a metric is its prompts, its views, and how the cues combine. Needs no torch.

`iqa.photo_judgement` computes what is described here. Every parameter has its published default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from maclip_daemon.errors import UsageError
from maclip_daemon.iqa.prompts import CLIPIQA_PAIRS, MACLIP_PAIRS, QUALICLIP_PAIRS, PromptPair
from maclip_daemon.iqa.view_grid import ViewKind


@dataclass(frozen=True)
class Metric:
    """How a photo's features become its score."""

    name: str
    views: ViewKind
    combine: Literal["fuse", "similarity", "magnitude"]
    """Which cues make the score: both (MA-CLIP, equation 8), q_sim alone, or q_mag alone."""
    pairs: tuple[PromptPair, ...] = ()
    temperature: float = 1.0
    """Divides the logits; 1 is CLIP's own softmax(exp(logit_scale)·cos)."""
    box_cox_lambda: float = 0.5
    """λ of the Box-Cox transform of the magnitudes."""
    base_similarity: float = 1.0
    """Weight of q_sim before the softmax, when both cues agree."""
    base_magnitude: float = 0.6
    """Weight of q_mag before the softmax, when both cues agree."""
    alpha: float = 1.0
    """How strongly the weights follow the cues' disagreement."""


def maclip(
    *,
    pairs: tuple[PromptPair, ...] = MACLIP_PAIRS,
    temperature: float = 1.0,
    box_cox_lambda: float = 0.5,
    base_similarity: float = 1.0,
    base_magnitude: float = 0.6,
    alpha: float = 1.0,
) -> Metric:
    """Return MA-CLIP (arXiv 2511.09948): both cues, fused view by view, over crops and the whole photo."""
    return Metric(
        "maclip",
        "crops",
        "fuse",
        pairs,
        temperature,
        box_cox_lambda,
        base_similarity,
        base_magnitude,
        alpha,
    )


def magnitude(*, box_cox_lambda: float = 0.5) -> Metric:
    """Return q_mag alone, the ablation of the MA-CLIP paper; it needs no prompts."""
    return Metric("magnitude", "crops", "magnitude", box_cox_lambda=box_cox_lambda)


def clipiqa(*, pairs: tuple[PromptPair, ...] = CLIPIQA_PAIRS, temperature: float = 1.0) -> Metric:
    """Return CLIP-IQA (arXiv 2207.12396, equation 3): one pair over the whole photo as one view."""
    return Metric("clipiqa", "whole", "similarity", pairs, temperature)


def qualiclip(*, pairs: tuple[PromptPair, ...] = QUALICLIP_PAIRS, temperature: float = 1.0) -> Metric:
    """Return QualiCLIP (arXiv 2403.11176, equation 1): seven pairs over the whole photo as one view."""
    return Metric("qualiclip", "whole", "similarity", pairs, temperature)


METRICS: dict[str, Callable[[], Metric]] = {
    "maclip": maclip,
    "clipiqa": clipiqa,
    "qualiclip": qualiclip,
    "magnitude": magnitude,
}


def parse(name: str) -> Metric:
    """Return the metric of a name with its published parameters. Raises `UsageError` with the valid names."""
    if name not in METRICS:
        raise UsageError(f"There is no metric {name!r}. Choose {', '.join(METRICS)}.")
    return METRICS[name]()
