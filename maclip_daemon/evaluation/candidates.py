"""Candidates, the columns of an evaluation: a metric with its parameters, on a model, under a protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from maclip_daemon.iqa import metrics
from maclip_daemon.iqa.metrics import Metric
from maclip_daemon.iqa.protocols import Protocol
from maclip_daemon.iqa.view_grid import ViewKind

LAMBDAS = (0.3, 0.4, 0.6, 0.7)  # beside the published 0.5


@dataclass(frozen=True)
class Judgement:
    """A metric or an ablation: features of a photo's views → its score."""

    name: str
    """As the report shows it: `maclip`, or `maclip, λ = 0.3`."""
    metric: Metric | None
    """None: the mean length of the views' features, an ablation only."""
    ablation: bool = False
    """True for a changed MA-CLIP, measured to see what one of its parts is worth."""

    @property
    def views(self) -> ViewKind:
        """The kind of views it needs."""
        return "crops" if self.metric is None else self.metric.views

    @property
    def key(self) -> str:
        """The name with a digest of all parameters, so that a changed default is another key."""
        digest = hashlib.blake2s(repr(self.metric).encode(), digest_size=4).hexdigest()
        return f"{self.name}#{digest}"


@dataclass(frozen=True)
class Candidate:
    """One column of scores."""

    judgement: Judgement
    model: str
    """The identity of the model, with the digest of its weights."""
    protocol: Protocol

    @property
    def label(self) -> tuple[str, str, str]:
        """Metric, model and protocol, as the report shows them."""
        return self.judgement.name, self.model, self.protocol.name


def judgements(chosen: Sequence[Metric], ablations: Sequence[Judgement] = ()) -> list[Judgement]:
    """Return the metrics as judgements, each once, and the ablations after them."""
    plain = {metric.name: Judgement(metric.name, metric) for metric in chosen}
    return [*plain.values(), *ablations]


def ablations() -> list[Judgement]:
    """Return every ablation of MA-CLIP, in the order of the report; the published metric is not among them.

    One part of MA-CLIP (arXiv 2511.09948) is left out or changed at a time: the similarity cue, the magnitude
    cue with its Box-Cox transform, or the confidence-guided fusion. One pass over MA-CLIP's views serves all.
    """
    published = metrics.maclip()
    varied = [
        ("q_sim alone", replace(published, combine="similarity")),
        ("q_mag alone", metrics.magnitude()),
        # λ = 1 makes Box-Cox the identity: (a + 1)¹ − 1 = a
        ("q_mag alone, no Box-Cox", metrics.magnitude(box_cox_lambda=1.0)),
        ("raw magnitude ‖f‖ alone", None),
        ("fused, no Box-Cox", metrics.maclip(box_cox_lambda=1.0)),
        # α = 0 leaves weights that do not depend on the photo; equal bases then make them a half each
        ("plain mean of both cues", metrics.maclip(alpha=0.0, base_similarity=1.0, base_magnitude=1.0)),
        ("fixed weights (α = 0)", metrics.maclip(alpha=0.0)),
        ("symmetric bases (1.0, 1.0)", metrics.maclip(base_magnitude=1.0)),
        *((f"λ = {value:g}", metrics.maclip(box_cox_lambda=value)) for value in LAMBDAS),
    ]
    return [Judgement(name, metric, ablation=True) for name, metric in varied]
