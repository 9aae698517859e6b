"""Ablations: MA-CLIP with one part taken out or changed at a time, from the features of a single pass.

The parts are those of MA-CLIP (arXiv 2511.09948): the similarity cue, the magnitude cue with its Box-Cox
transform, and the confidence-guided fusion. All use the views of MA-CLIP, so they cost no forward of their
own.
"""

from __future__ import annotations

from dataclasses import replace

from maclip_daemon.evaluation.candidates import Judgement
from maclip_daemon.iqa import metrics

LAMBDAS = (0.3, 0.4, 0.6, 0.7)


def ablations() -> list[Judgement]:
    """Every ablation, in the order of the report. The published MA-CLIP itself is not among them."""
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
