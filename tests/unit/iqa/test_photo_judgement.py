from __future__ import annotations

import json
import math

import pytest
import torch

from maclip_daemon.errors import Poison, UsageError
from maclip_daemon.iqa import metrics
from maclip_daemon.iqa.photo_judgement import judge
from maclip_daemon.iqa.photo_score import PhotoScore

PROMPTS = torch.nn.functional.normalize(torch.randn(10, 32, generator=torch.Generator().manual_seed(2)))
FEATURES = torch.randn(5, 32, generator=torch.Generator().manual_seed(3))
SCALE = math.log(100)


def test_the_score_is_the_mean_of_the_views_and_explains_itself() -> None:
    score = judge(metrics.maclip(), FEATURES, PROMPTS, SCALE)
    assert score.views == len(score.view_scores) == 5
    assert score.score == pytest.approx(sum(score.view_scores) / 5)
    assert score.q_sim == pytest.approx(sum(score.attributes.values()) / 5)
    assert list(score.attributes) == ["good", "sharpness", "edges", "resolution", "noise_free"]
    assert 0 < score.weight_sim < 1


def test_one_view_has_no_spread() -> None:
    score = judge(metrics.maclip(), FEATURES[:1], PROMPTS, SCALE)
    assert (score.views, score.view_spread) == (1, 0)


def test_a_zero_feature_has_a_finite_score() -> None:
    score = judge(metrics.maclip(), torch.zeros(2, 32), PROMPTS, SCALE)
    weight = 1 / (1 + math.exp((0.6 - 0.5) - (1.0 + 0.5)))
    assert (score.q_sim, score.q_mag) == (0.5, 0)
    assert score.score == pytest.approx(weight * 0.5)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("metric", list(metrics.METRICS))
def test_features_that_are_not_finite_never_become_a_score(bad: float, metric: str) -> None:
    features = FEATURES.clone()
    features[3, 7] = bad
    chosen = metrics.parse(metric)
    with pytest.raises(Poison, match="not finite"):
        judge(chosen, features, PROMPTS[: 2 * len(chosen.pairs)] if chosen.pairs else None, SCALE)


def test_parameters_that_overflow_never_become_a_score() -> None:
    with pytest.raises(Poison, match="parameters"):
        judge(metrics.maclip(box_cox_lambda=5000.0), FEATURES, PROMPTS, SCALE)


def test_magnitude_needs_no_prompts_and_claims_no_attributes() -> None:
    score = judge(metrics.magnitude(), FEATURES, None, SCALE)
    assert score.q_sim is None
    assert score.attributes == {}
    assert score.score == score.q_mag


def test_a_score_survives_json() -> None:
    score = judge(metrics.maclip(), FEATURES, PROMPTS, SCALE)
    assert PhotoScore.from_json(json.loads(json.dumps(score.as_json()))) == score


def test_an_unknown_metric_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="maclip, clipiqa, qualiclip, magnitude"):
        metrics.parse("brisque")
