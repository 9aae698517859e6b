"""The fusion of the overall and the detail cue: a small network, fitted and frozen in the checkpoint.

A sum of both cues that nobody fitted orders photos worse than the tiles alone. So a model without a fitted
fusion keeps the overall cue as its score. Needs no torch. docs/iqa.md describes the format.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from maclip_daemon.errors import ModelUnavailable, UsageError
from maclip_daemon.iqa import metrics, protocols
from maclip_daemon.iqa.metrics import Metric

METADATA_KEY = "fusion"
_MOST_LAYERS, _MOST_UNITS = 3, 64
_OVERALL_INPUTS = frozenset(
    {"overall", "overall_min", "overall_max", "overall_spread", "overall_q_sim", "overall_q_mag", "whole"}
)
_OF_TILES = ("mean", "min", "max", "spread", "q_sim", "q_mag")
TILE_BLOCKS = "tile_blocks"
"""The input that is measured from the tiles' pixels: `iqa.luma_steps.tile_blocks`."""
_TOWERS_OF_TILES = {1: ("tile",), 2: ("tile", "local"), 3: ("tile", "local")}
"""Version → the towers whose judgement of tiles its networks may know."""
_MEASURED = {3: frozenset({TILE_BLOCKS})}
"""Version → what its networks may know of the tiles' pixels themselves."""


@dataclass(frozen=True)
class Layer:
    """A linear layer."""

    weight: tuple[tuple[float, ...], ...]
    """[outputs, inputs]."""
    bias: tuple[float, ...]

    def __call__(self, values: Sequence[float]) -> list[float]:
        """Return the outputs of one layer, without activation."""
        return [
            math.fsum(w * value for w, value in zip(row, values, strict=True)) + bias
            for row, bias in zip(self.weight, self.bias, strict=True)
        ]


@dataclass(frozen=True)
class Network:
    """Named inputs, standardised, through linear layers with tanh between them."""

    inputs: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layers: tuple[Layer, ...]

    def __call__(self, found: Mapping[str, float]) -> float:
        """Return the one output for these inputs; others than the named ones are ignored."""
        values = [
            (found[name] - mean) / std
            for name, mean, std in zip(self.inputs, self.mean, self.std, strict=True)
        ]
        for layer in self.layers[:-1]:
            values = [math.tanh(value) for value in layer(values)]
        (output,) = self.layers[-1](values)
        return output


@dataclass(frozen=True)
class MetricFusion:
    """The networks of one metric; without any, the score is the overall cue and the detail cue a mean."""

    detail: Network | None = None
    """The tiles → the detail cue."""
    score: Network | None = None
    """Both cues → the score."""
    overall_only: Network | None = None
    """The overall cue → the score of a photo without tiles, on the scale of `score`."""

    @property
    def needs_blocks(self) -> bool:
        """Whether a network has `TILE_BLOCKS` among its inputs."""
        of_tiles = (network for network in (self.detail, self.score) if network is not None)
        return any(TILE_BLOCKS in network.inputs for network in of_tiles)

    def fuse(
        self, overall: Mapping[str, float], tiles: Mapping[str, float] | None
    ) -> tuple[float, float | None]:
        """Return the score and the detail cue; no detail cue for a photo without tiles.

        `overall` and `tiles`: the inputs by name (`overall`, `tile_mean`, …).
        """
        if tiles is None:
            alone = self.overall_only
            return (overall["overall"] if alone is None else alone(overall)), None
        detail = tiles["tile_mean"] if self.detail is None else self.detail(tiles)
        both = {**overall, **tiles, "detail": detail}
        return (overall["overall"] if self.score is None else self.score(both)), detail


@dataclass(frozen=True)
class Fusion:
    """What a checkpoint stores."""

    protocol: str
    """The one protocol that it was fitted at."""
    by_metric: Mapping[str, MetricFusion] = field(default_factory=dict)

    def fitted_for(self, metric: Metric, protocol: str) -> MetricFusion | None:
        """Return the fusion of a metric with its published parameters; None where none was fitted."""
        if protocol != self.protocol or metric.name not in metrics.METRICS:
            return None
        return self.by_metric.get(metric.name) if metric == metrics.parse(metric.name) else None


def inputs_of(
    prefix: str, scores: Sequence[float], q_sim: float | None, q_mag: float | None
) -> dict[str, float]:
    """Return inputs by name: minimum, maximum, spread and cues of the views' scores. `prefix`: `tile`, …"""
    mean = math.fsum(scores) / len(scores)
    spread = math.sqrt(math.fsum((score - mean) ** 2 for score in scores) / len(scores))
    found = {
        f"{prefix}_min": min(scores),
        f"{prefix}_max": max(scores),
        f"{prefix}_spread": spread,
        f"{prefix}_q_sim": q_sim,
        f"{prefix}_q_mag": q_mag,
    }
    return {name: value for name, value in found.items() if value is not None}


def read_fusion(metadata: Mapping[str, str], origin: str) -> Fusion | None:
    """Return the fusion in a checkpoint's metadata; None without one.

    Raises `ModelUnavailable` for one that is damaged, or of a later version of this program.
    """
    text = metadata.get(METADATA_KEY)
    if text is None:
        return None
    try:
        stored = json.loads(text)
        if stored["version"] not in _TOWERS_OF_TILES:
            raise ModelUnavailable(
                f"{origin} has a fusion of version {stored['version']}, which this maclip does not know. "
                "Install a newer maclip-daemon."
            )
        tiles = protocols.parse(stored["protocol"]).tiles
        known = {
            f"{tower}_{name}"
            for tower in _TOWERS_OF_TILES[stored["version"]]
            for name in (*_OF_TILES, *range(1, tiles + 1))
            if tiles
        }
        if tiles:
            known |= _MEASURED.get(stored["version"], frozenset())
        by_metric = {
            metrics.parse(name).name: _metric_fusion(described, metrics.parse(name), known)
            for name, described in stored["metrics"].items()
        }
        return Fusion(stored["protocol"], by_metric)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, UsageError):
        raise ModelUnavailable(f"The fusion stored in {origin} is damaged. Fetch the file again.") from None


def _metric_fusion(described: Mapping[str, Any], metric: Metric, tiles: set[str]) -> MetricFusion:
    """Return the networks of one metric. `tiles`: the inputs that a protocol's tiles have, if any."""
    lacks = {"_q_mag": metric.combine == "similarity", "_q_sim": not metric.pairs}
    without = tuple(ending for ending, is_lacking in lacks.items() if is_lacking)
    overall, of_tiles = (
        {name for name in every if not name.endswith(without)} for every in (_OVERALL_INPUTS, tiles)
    )
    allowed = {"detail": of_tiles, "score": overall | of_tiles | {"detail"}, "overall_only": overall}
    if not tiles or set(described) - set(allowed):
        raise ValueError("a fusion needs tiles and known networks")
    return MetricFusion(**{name: _network(described[name], allowed[name]) for name in described})


def _network(described: Mapping[str, Any], allowed: set[str]) -> Network:
    inputs = tuple(str(name) for name in described["inputs"])
    mean, std = (_numbers(described[name]) for name in ("mean", "std"))
    layers = tuple(
        Layer(tuple(_numbers(row) for row in layer["weight"]), _numbers(layer["bias"]))
        for layer in described["layers"]
    )
    widths = [len(inputs), *(len(layer.bias) for layer in layers)]
    fits = (
        set(inputs) <= allowed
        and len(mean) == len(std) == len(inputs)
        and all(value > 0 for value in std)
        and 1 <= len(layers) <= _MOST_LAYERS
        and widths[-1] == 1
        and all(1 <= width <= _MOST_UNITS for width in widths)
        and all(
            len(layer.weight) == len(layer.bias) and all(len(row) == width for row in layer.weight)
            for layer, width in zip(layers, widths, strict=False)
        )
    )
    if not fits:
        raise ValueError("layers that do not fit")
    return Network(inputs, mean, std, layers)


def _numbers(values: Sequence[Any]) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in values)
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError("not a finite number")
    return numbers
