"""The cues against their closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maclip_daemon.iqa import cues

UNIT = st.floats(min_value=0, max_value=2)


def fused(similarity: float, magnitude: float, **parameters: float) -> float:
    sim, mag = torch.tensor([similarity]).double(), torch.tensor([magnitude]).double()
    return float(cues.fuse(sim, mag, cues.fusion_weights(sim, mag, **parameters)))


@pytest.mark.parametrize(("similarity", "score"), [(0.0, 0.832), (0.312, 0.812), (1.0, 1.000)])
def test_the_fusion_curve_is_the_published_one(similarity: float, score: float) -> None:
    assert fused(similarity, 1.0) == pytest.approx(score, abs=5e-4)


def test_the_fusion_curve_has_its_minimum_inside() -> None:
    curve = [fused(step / 1000, 1.0) for step in range(1001)]
    assert curve.index(min(curve)) == pytest.approx(312, abs=5)


@given(UNIT, UNIT)
def test_the_fusion_weights_are_a_softmax(similarity: float, magnitude: float) -> None:
    d = similarity - magnitude
    weight = 1 / (1 + math.exp((0.6 - d) - (1.0 + d)))
    assert fused(similarity, magnitude) == pytest.approx(weight * similarity + (1 - weight) * magnitude)


@given(UNIT, UNIT)
def test_equal_bases_and_no_alpha_are_the_mean(similarity: float, magnitude: float) -> None:
    both = fused(similarity, magnitude, base_similarity=1.0, base_magnitude=1.0, alpha=0.0)
    assert both == pytest.approx((similarity + magnitude) / 2)


def test_box_cox_at_zero_is_the_logarithm_and_the_limit() -> None:
    values = torch.linspace(0, 5, 50, dtype=torch.float64)
    assert torch.equal(cues.box_cox(values, 0), torch.log1p(values))
    assert torch.allclose(cues.box_cox(values, 1e-6), torch.log1p(values), atol=1e-5)


def test_box_cox_at_one_is_the_identity_and_at_a_half_two_roots() -> None:
    values = torch.tensor([0.0, 3.0, 8.0])
    assert cues.box_cox(values, 1.0).tolist() == [0, 3, 8]
    assert cues.box_cox(values, 0.5).tolist() == [0, 2, 4]


def test_a_zero_feature_has_no_magnitude_and_agrees_with_neither_side() -> None:
    prompts = torch.nn.functional.normalize(torch.randn(6, 8, generator=torch.Generator().manual_seed(1)))
    zero = torch.zeros(1, 8)
    assert cues.q_mag(zero).tolist() == [0]
    assert cues.pair_similarities(zero, prompts, 100.0).tolist() == [[0.5, 0.5, 0.5]]


def test_magnitude_does_not_depend_on_the_length_of_the_feature() -> None:
    feature = torch.randn(1, 64, generator=torch.Generator().manual_seed(1)).double()
    assert cues.q_mag(feature * 50).item() == pytest.approx(cues.q_mag(feature).item(), abs=1e-5)


def test_magnitude_of_a_hand_computed_feature() -> None:
    # |f| = (1, 3), unbiased std = √2: mean of 2·(√(a/√2 + 1) − 1).
    expected = sum(2 * (math.sqrt(value / math.sqrt(2) + 1) - 1) for value in (1, 3)) / 2
    assert cues.q_mag(torch.tensor([[1.0, -3.0]]).double()).item() == pytest.approx(expected, abs=1e-5)


def test_similarity_is_the_softmax_of_each_pair() -> None:
    prompts = torch.eye(4)[:4]
    feature = torch.tensor([[0.6, 0.0, 0.0, 0.8]])
    good, second = cues.pair_similarities(feature, prompts, 2.0, temperature=2.0)[0].tolist()
    assert good == pytest.approx(math.exp(0.6) / (math.exp(0.6) + 1))
    assert second == pytest.approx(1 / (1 + math.exp(0.8)))
