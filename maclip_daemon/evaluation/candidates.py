"""Candidates: what is evaluated side by side — a metric with its parameters, on a model, under a protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from maclip_daemon.iqa.metrics import Metric
from maclip_daemon.iqa.protocols import Protocol
from maclip_daemon.iqa.view_grid import ViewKind


@dataclass(frozen=True)
class Judgement:
    """A way from the features of a photo's views to its score."""

    name: str
    """As the report shows it: `maclip`, or `maclip, λ = 0.3`."""
    metric: Metric | None
    """None: the raw length of the features, averaged over the views, which is no metric of its own."""
    ablation: bool = False
    """Whether it is a part of MA-CLIP, measured to see what the part is worth."""

    @property
    def views(self) -> ViewKind:
        """The views that it needs."""
        return "crops" if self.metric is None else self.metric.views

    @property
    def key(self) -> str:
        """The name with a digest of every parameter, so that no score outlives a changed default."""
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


def judgements(metrics: Sequence[Metric], ablations: Sequence[Judgement] = ()) -> list[Judgement]:
    """The metrics as judgements, each once, and the ablations after them."""
    plain = {metric.name: Judgement(metric.name, metric) for metric in metrics}
    return [*plain.values(), *ablations]
