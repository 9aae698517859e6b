"""The fusion of both cues: read from a checkpoint, checked, and computed."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from maclip_daemon.errors import ModelUnavailable, Poison
from maclip_daemon.iqa import metrics
from maclip_daemon.iqa.fusion import Fusion, MetricFusion, read_fusion
from maclip_daemon.iqa.photo_judgement import TileJudgement, judge
from maclip_daemon.iqa.photo_pixels import PhotoPixels

PROMPTS = torch.nn.functional.normalize(torch.randn(10, 32, generator=torch.Generator().manual_seed(2)))
OTHERS = torch.nn.functional.normalize(torch.randn(10, 32, generator=torch.Generator().manual_seed(5)))
FEATURES = torch.randn(15, 32, generator=torch.Generator().manual_seed(3))
SCALE = math.log(100)
SMALL = np.zeros((360, 544, 3), np.uint8)

STORED: dict[str, Any] = {
    "version": 1,
    "protocol": "detail-8",
    "metrics": {
        "maclip": {
            "detail": {
                "inputs": ["tile_1", "tile_8"],
                "mean": [0.0, 0.0],
                "std": [1.0, 1.0],
                "layers": [{"weight": [[0.25, 0.75]], "bias": [0.0]}],
            },
            "score": {
                "inputs": ["overall", "detail"],
                "mean": [0.5, 0.6],
                "std": [0.1, 0.2],
                "layers": [
                    {"weight": [[1.0, 0.0], [0.0, 2.0], [0.5, 0.5]], "bias": [0.0, 0.1, -0.2]},
                    {"weight": [[0.3, 0.3, 0.4]], "bias": [0.05]},
                ],
            },
            "overall_only": {
                "inputs": ["overall", "whole"],
                "mean": [0.0, 0.0],
                "std": [1.0, 2.0],
                "layers": [{"weight": [[2.0, 0.0]], "bias": [1.0]}],
            },
        }
    },
}


def stored() -> Fusion:
    found = read_fusion({"fusion": json.dumps(STORED)}, "a.safetensors")
    assert found is not None
    return found


def fitted() -> MetricFusion:
    found = stored().fitted_for(metrics.maclip(), "detail-8")
    assert found is not None
    return found


def test_the_score_is_the_networks_output() -> None:
    score = judge(metrics.maclip(), FEATURES, PROMPTS, SCALE, TileJudgement(8, None, fitted()))
    tiles = sorted(score.view_scores[-8:])
    assert score.overall == pytest.approx(sum(score.view_scores[:7]) / 7)
    assert score.detail == pytest.approx(0.25 * tiles[0] + 0.75 * tiles[-1])
    first, second = (score.overall - 0.5) / 0.1, (score.detail - 0.6) / 0.2
    hidden = [math.tanh(v) for v in (first, 2 * second + 0.1, 0.5 * first + 0.5 * second - 0.2)]
    assert score.score == pytest.approx(0.3 * hidden[0] + 0.3 * hidden[1] + 0.4 * hidden[2] + 0.05)


def test_a_photo_without_tiles_is_judged_by_what_was_fitted_for_such() -> None:
    score = judge(metrics.maclip(), FEATURES[:7], PROMPTS, SCALE, TileJudgement(0, None, fitted()))
    assert score.detail is None
    assert score.score == pytest.approx(2 * score.overall + 1)


def test_without_a_fit_the_score_is_the_overall_cue() -> None:
    plain = judge(metrics.maclip(), FEATURES[:7], PROMPTS, SCALE)
    tiled = judge(metrics.maclip(), FEATURES, PROMPTS, SCALE, TileJudgement(8))
    assert tiled.score == tiled.overall == plain.score
    assert tiled.detail == pytest.approx(sum(tiled.view_scores[-8:]) / 8)
    assert (tiled.q_sim, tiled.q_mag, tiled.view_spread) == (plain.q_sim, plain.q_mag, plain.view_spread)


def with_local() -> Fusion:
    line = {"mean": [0.0, 0.0], "std": [1.0, 1.0], "layers": [{"weight": [[0.25, 0.75]], "bias": [0.0]}]}
    networks = {"detail": {"inputs": ["tile_mean", "local_mean"], **line}}
    networks["score"] = {"inputs": ["overall", "detail"], **line}
    described = {"version": 2, "protocol": "detail-8", "metrics": {"maclip": networks}}
    found = read_fusion({"fusion": json.dumps(described)}, "a.safetensors")
    assert found is not None
    return found


def test_a_local_tower_is_a_second_judge_of_the_tiles() -> None:
    fusion = with_local().fitted_for(metrics.maclip(), "detail-8")
    again = torch.randn(8, 32, generator=torch.Generator().manual_seed(4))
    tiles = TileJudgement(8, None, fusion, is_judged_twice=True, local_prompts=OTHERS)
    score = judge(metrics.maclip(), torch.cat([FEATURES, again]), PROMPTS, SCALE, tiles)
    once = judge(metrics.maclip(), FEATURES, PROMPTS, SCALE, TileJudgement(8))
    local = judge(metrics.maclip(), again, OTHERS, SCALE).score
    assert once.detail is not None
    assert score.detail == pytest.approx(0.25 * once.detail + 0.75 * local)
    assert score.score == pytest.approx(0.25 * once.score + 0.75 * score.detail)
    assert (score.views, score.view_scores) == (once.views, once.view_scores)


def test_only_a_fusion_of_version_2_knows_a_local_tower() -> None:
    described = copy.deepcopy(STORED)
    _network(described).update(inputs=["overall", "local_mean"])
    with pytest.raises(ModelUnavailable, match="damaged"):
        read_fusion({"fusion": json.dumps(described)}, "a.safetensors")


def with_blocks(version: int = 3, **inputs: list[str]) -> dict[str, Any]:
    line = {
        "mean": [0.0] * 3,
        "std": [1.0] * 3,
        "layers": [{"weight": [[0.25, 0.75, -0.001]], "bias": [0.0]}],
    }
    networks = {"score": {"inputs": ["overall", "detail", "tile_blocks"], **line}}
    for name, names in inputs.items():
        networks[name] = {"inputs": names, **line}
    return {"version": version, "protocol": "detail-8", "metrics": {"maclip": networks}}


def read(described: dict[str, Any]) -> MetricFusion:
    found = read_fusion({"fusion": json.dumps(described)}, "a.safetensors")
    assert found is not None
    fusion = found.fitted_for(metrics.maclip(), "detail-8")
    assert fusion is not None
    return fusion


def test_a_fusion_of_version_3_knows_the_blocks_in_the_tiles() -> None:
    tiles = TileJudgement(8, None, read(with_blocks()), blocks=40.0)
    score = judge(metrics.maclip(), FEATURES, PROMPTS, SCALE, tiles)
    assert score.detail is not None
    assert score.score == pytest.approx(0.25 * score.overall + 0.75 * score.detail - 0.04)


def test_blocks_are_measured_only_where_a_network_needs_them() -> None:
    photo = PhotoPixels(SMALL, np.zeros((8, 224, 224, 3), np.uint8))
    needing = read(with_blocks())
    assert needing.needs_blocks
    assert TileJudgement(fusion=needing).of(photo).blocks == 0.0
    assert TileJudgement(fusion=needing).of(PhotoPixels(SMALL)).blocks is None
    assert read(with_blocks(detail=["tile_mean", "tile_min", "tile_blocks"])).needs_blocks
    for other in (fitted(), with_local().fitted_for(metrics.maclip(), "detail-8"), None):
        assert other is None or not other.needs_blocks
        judged = TileJudgement(fusion=other).of(photo)
        assert (judged.count, judged.blocks) == (8, None)


def test_a_fusion_that_needs_blocks_never_goes_without() -> None:
    with pytest.raises(ValueError, match="needs the blocks"):
        judge(metrics.maclip(), FEATURES, PROMPTS, SCALE, TileJudgement(8, None, read(with_blocks())))
    plain = judge(metrics.maclip(), FEATURES[:7], PROMPTS, SCALE, TileJudgement(0, None, read(with_blocks())))
    assert plain.score == plain.overall  # without tiles there is nothing to measure


def test_blocks_are_no_input_of_older_versions_nor_of_photos_without_tiles() -> None:
    alone = {"overall_only": ["overall", "whole", "tile_blocks"]}
    for described in (with_blocks(1), with_blocks(2), with_blocks(3, **alone)):
        with pytest.raises(ModelUnavailable, match="damaged"):
            read_fusion({"fusion": json.dumps(described)}, "a.safetensors")


def test_older_versions_give_the_score_that_they_always_gave() -> None:
    found = judge(metrics.maclip(), FEATURES, PROMPTS, SCALE, TileJudgement(8, None, fitted()))
    again = torch.randn(8, 32, generator=torch.Generator().manual_seed(4))
    tiles = TileJudgement(
        8, None, with_local().fitted_for(metrics.maclip(), "detail-8"), True, local_prompts=OTHERS
    )
    local = judge(metrics.maclip(), torch.cat([FEATURES, again]), PROMPTS, SCALE, tiles)
    assert found.score == pytest.approx(1.0368925037907046, rel=1e-14)
    assert local.score == pytest.approx(0.8574532519975716, rel=1e-14)


def test_tiles_may_have_prompts_of_their_own() -> None:
    same = judge(metrics.maclip(), FEATURES, PROMPTS, SCALE, TileJudgement(8))
    other = judge(metrics.maclip(), FEATURES, PROMPTS, SCALE, TileJudgement(8, OTHERS))
    assert other.overall == same.overall
    assert other.detail == pytest.approx(judge(metrics.maclip(), FEATURES[7:], OTHERS, SCALE).score)


@pytest.mark.parametrize(
    ("metric", "protocol"),
    [
        (metrics.maclip(), "detail-4"),
        (metrics.maclip(), "long-edge-544"),
        (metrics.maclip(alpha=2.0), "detail-8"),
        (metrics.magnitude(), "detail-8"),
    ],
)
def test_a_fusion_serves_only_what_it_was_fitted_for(metric: metrics.Metric, protocol: str) -> None:
    assert stored().fitted_for(metric, protocol) is None


def test_a_checkpoint_without_a_fusion_has_none() -> None:
    assert read_fusion({"prompts": "[]"}, "a.safetensors") is None


def _network(described: dict[str, Any]) -> dict[str, Any]:
    network: dict[str, Any] = described["metrics"]["maclip"]["score"]
    return network


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.pop("metrics"),
        lambda d: d.update(protocol="long-edge-544"),
        lambda d: d.update(protocol="detail-x"),
        lambda d: d["metrics"].update(brisque={}),
        lambda d: d["metrics"]["maclip"].update(other={}),
        lambda d: _network(d).update(inputs=["overall", "tile_9"]),
        lambda d: _network(d).update(std=[0.1, 0.0]),
        lambda d: _network(d).update(mean=[0.1]),
        lambda d: _network(d).update(mean=[0.1, math.nan]),
        lambda d: _network(d).update(layers=[]),
        lambda d: _network(d)["layers"].pop(),
        lambda d: _network(d)["layers"][0].update(bias=[0.0]),
        lambda d: _network(d)["layers"][1].update(weight=[[1.0, 1.0]]),
        lambda d: d["metrics"]["maclip"]["overall_only"].update(inputs=["overall", "tile_min"]),
        lambda d: d["metrics"].update(maclip=3),
    ],
)
def test_a_damaged_fusion_is_refused(damage: Callable[[dict[str, Any]], object]) -> None:
    described = copy.deepcopy(STORED)
    damage(described)
    with pytest.raises(ModelUnavailable, match=r"fusion stored in a\.safetensors is damaged"):
        read_fusion({"fusion": json.dumps(described)}, "a.safetensors")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "[" * 100_000])
def test_a_fusion_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ModelUnavailable, match="damaged"):
        read_fusion({"fusion": text}, "a.safetensors")


def test_a_fusion_of_a_later_version_names_the_cure() -> None:
    later = json.dumps({**STORED, "version": 4})
    with pytest.raises(ModelUnavailable, match="Install a newer maclip-daemon"):
        read_fusion({"fusion": later}, "a.safetensors")


def test_a_fused_score_that_is_not_finite_never_becomes_a_score() -> None:
    described = copy.deepcopy(STORED)
    _network(described).update(layers=[{"weight": [[1e308, 1e308]], "bias": [1e308]}], std=[1e-300, 1e-300])
    found = read_fusion({"fusion": json.dumps(described)}, "a.safetensors")
    assert found is not None
    broken = found.fitted_for(metrics.maclip(), "detail-8")
    with pytest.raises(Poison, match="not a finite number"):
        judge(metrics.maclip(), FEATURES, PROMPTS, SCALE, TileJudgement(8, None, broken))
