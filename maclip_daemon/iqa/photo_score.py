"""The score of one photo, and the scoring configuration it belongs to. Needs no torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

PROMPT_PAIRS = ("good", "sharpness", "edges", "resolution", "noise_free")
"""Attributes with a column of their own where scores are stored."""


@dataclass(frozen=True)
class PhotoScore:
    """A photo's score and everything that explains it; all numbers are finite. Crosses processes as JSON.

    Scores are neither bounded by 1 nor comparable between metrics, models or protocols: only their order
    within one of these means something.
    """

    score: float
    """Higher is better. The fusion of both cues where the model has one for its protocol, else `overall`."""
    q_sim: float | None
    """Semantic similarity to the good prompts, 0 to 1, mean over views and pairs; None without prompts."""
    q_mag: float | None
    """Magnitude cue, mean over the views; None when the metric does not use it."""
    attributes: dict[str, float]
    """Prompt pair → agreement with its good side, 0 to 1, mean over the views."""
    views: int
    """How many views were judged, tiles included."""
    view_scores: tuple[float, ...]
    """Each view's score, in the order of `iqa.view_grid.view_boxes`."""
    view_spread: float
    """Standard deviation of the views' scores, without tiles (0 for one view)."""
    weight_sim: float | None
    """MA-CLIP's weight of q_sim, mean over the views; None for metrics that do not fuse."""
    overall: float | None = None
    """The cue of the whole photo: the mean score of its views, without tiles."""
    detail: float | None = None
    """The cue of the photo at half its own size: of its tiles; None without tiles."""
    tiles: int = 0
    """How many of the views are tiles; they are the last ones."""
    width: int = 0
    """Pixels of the photo at its protocol's size."""
    height: int = 0
    """Pixels of the photo at its protocol's size."""
    device: str = ""
    """Where the encoder ran: `cpu`, `cuda`, `mps`."""
    precision: str = ""
    """The encoder's arithmetic: `fp32`, `bf16` or `fp16`."""

    def as_json(self) -> dict[str, Any]:
        """Return a plain object for JSON."""
        return dataclasses.asdict(self) | {"view_scores": list(self.view_scores)}

    def as_columns(self) -> dict[str, Any]:
        """Return what is stored, by the names in docs/database.md, and `details` for `maclip show`."""
        return {
            "score": self.score,
            "q_sim": self.q_sim,
            "q_mag": self.q_mag,
            "views": self.views,
            "view_spread": self.view_spread,
            "details": {
                "view_scores": list(self.view_scores),
                "weight_sim": self.weight_sim,
                "attributes": self.attributes,
                "width": self.width,
                "height": self.height,
                "tiles": self.tiles,
            },
            "precision": self.precision,
            "device": self.device,
            "overall_score": self.overall,
            "detail_score": self.detail,
            **{name: self.attributes.get(name) for name in PROMPT_PAIRS},
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> PhotoScore:
        """Return the score that `as_json` described."""
        return cls(**(values | {"view_scores": tuple(values["view_scores"])}))


@dataclass(frozen=True)
class ScoringConfig:
    """Metric, model and protocol of a stored score: scores of different configurations are never compared."""

    metric: str
    model: str
    """Identifies the weights: a catalogue name, `builtin@VERSION`, or `file:NAME@DIGEST`."""
    protocol: str
    edges: tuple[float, ...] = field(default=(), compare=False)
    """The model's shipped reference edges of 2, 3, 4 and 5 stars for this metric and protocol, if any."""
